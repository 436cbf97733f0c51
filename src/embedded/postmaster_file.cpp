#include "embedded/postmaster_file.hpp"

#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <system_error>

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

} // namespace pgstate::embedded
