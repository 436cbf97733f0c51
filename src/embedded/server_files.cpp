#include "embedded/server_files.hpp"

#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

namespace pgstate::embedded {

std::optional<postmaster_file> postmaster_file::read(const std::filesystem::path& data_directory) {
    std::ifstream file(data_directory / "postmaster.pid");
    postmaster_file found;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        if (number == 1) found.pid = std::atoi(line.c_str());
        if (number == 3) found.started = static_cast<std::time_t>(std::atoll(line.c_str()));
        if (number == 8) found.status = line.substr(0, line.find(' '));
    }
    if (found.pid <= 0) return std::nullopt;
    return found;
}

int live_postmaster(const std::filesystem::path& data_directory) {
    const auto file = postmaster_file::read(data_directory);
    if (!file || ::kill(file->pid, 0) != 0) return 0;
    // A server's working directory is its data directory.
    std::error_code unreadable;
    const auto works_in = std::filesystem::path("/proc") / std::to_string(file->pid) / "cwd";
    const bool here = std::filesystem::equivalent(works_in, data_directory, unreadable);
    return here ? file->pid : 0;
}

server_log::server_log(std::filesystem::path path, const account& user)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "ae")) {
    if (!file_) fail_with_errno("the server's log '" + path_.string() + "' cannot be opened");
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
