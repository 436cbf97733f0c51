#ifndef PGSTATE_EMBEDDED_POSTMASTER_FILE_HPP
#define PGSTATE_EMBEDDED_POSTMASTER_FILE_HPP

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

/// The process id of the server that runs on `data_directory`, 0 if none does: a file that a killed server
/// left behind does not count, nor one whose process id now belongs to another program.
int live_postmaster(const std::filesystem::path& data_directory);

} // namespace pgstate::embedded

#endif
