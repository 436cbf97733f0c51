#pragma once

#include "embedded/account.hpp"
#include "embedded/child_process.hpp"

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string>

namespace pgstate::embedded {

/// What a running server says of itself in `postmaster.pid` (PostgreSQL 10 or newer).
struct postmaster_file {
    int pid = 0;
    std::time_t started = 0;
    std::string status; ///< "starting", "ready", "standby" or "stopping"; empty until it is known

    /// Nothing if there is no such file, or only the beginning of one.
    static std::optional<postmaster_file> read(const std::filesystem::path& data_directory);
};

/// The process id of the server that runs on `data_directory`, 0 if none does: a file that a killed server left behind
/// does not count, nor one whose process id now belongs to another program.
int live_postmaster(const std::filesystem::path& data_directory);

/// The file that the server's messages go to, which grows over the starts of the server.
class server_log {
public:
    /// \throws error unavailable - it cannot be opened
    server_log(std::filesystem::path path, const account& user);

    std::FILE* file() const { return file_.get(); }

    void mark();

    /// What was written since the last `mark()`.
    std::string since_mark() const;

    /// The last lines of `text`.
    static std::string end_of(const std::string& text);

private:
    std::filesystem::path path_;
    file_ptr file_;
    std::uintmax_t mark_ = 0;
};

} // namespace pgstate::embedded
