#include "embedded/server_log.hpp"

#include "pgstate/error.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

namespace pgstate::embedded {

server_log::server_log(std::filesystem::path path, const account& user)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "ae")) {
    if (!file_)
        throw error(errc::unavailable, "embedded_server",
                    "the server's log '" + path_.string() +
                        "' cannot be opened: " + std::error_code(errno, std::system_category()).message());
    user.take(::fileno(file_.get()), S_IRUSR | S_IWUSR);
}

void server_log::mark() {
    mark_ = std::filesystem::file_size(path_);
}

std::string server_log::since_mark() const {
    std::ifstream file(path_);
    file.seekg(static_cast<std::streamoff>(mark_));
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string server_log::end_of(const std::string& text) {
    constexpr int lines = 20;
    auto at = text.size();
    for (int line = 0; line <= lines && at > 0; ++line) {
        const auto before = text.rfind('\n', at - 1);
        if (before == std::string::npos) return text;
        at = before;
    }
    return text.substr(at + 1);
}

} // namespace pgstate::embedded
