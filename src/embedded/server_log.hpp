#ifndef PGSTATE_EMBEDDED_SERVER_LOG_HPP
#define PGSTATE_EMBEDDED_SERVER_LOG_HPP

#include "embedded/account.hpp"
#include "embedded/child_process.hpp"

#include <cstdio>
#include <filesystem>
#include <string>

namespace pgstate::embedded {

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

#endif
