#include "embedded/programs.hpp"

#include "embedded/child_process.hpp"

#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace pgstate::embedded {
namespace {

namespace fs = std::filesystem;

bool is_executable(const fs::path& program) {
    std::error_code ignored;
    return fs::is_regular_file(program, ignored) && ::access(program.c_str(), X_OK) == 0;
}

bool has_programs(const fs::path& directory) {
    return is_executable(directory / "initdb") && is_executable(directory / "postgres");
}

std::vector<fs::path> search_path() {
    std::vector<fs::path> directories;
    const char* const path = std::getenv("PATH");
    std::istringstream rest(path ? path : "");
    for (std::string directory; std::getline(rest, directory, ':');)
        if (!directory.empty()) directories.emplace_back(directory);
    return directories;
}

fs::path ask_pg_config(const account& user) {
    for (const auto& directory : search_path()) {
        const auto program = directory / "pg_config";
        if (!is_executable(program)) continue;
        try {
            const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
            const auto answer = run(program, {"--bindir"}, user, until);
            if (answer.exit_code == 0) return answer.output.substr(0, answer.output.find('\n'));
        } catch (const error&) {
            continue; // not one that this user can run: there are other places to look
        }
    }
    return {};
}

// /usr/lib/postgresql/15/bin (Debian, Ubuntu), /usr/pgsql-15/bin (the PostgreSQL project's own packages).
fs::path newest_installed() {
    fs::path newest;
    int newest_version = 0;
    const auto consider = [&](const fs::path& directory, const std::string& version) {
        const int number = std::atoi(version.c_str());
        if (number > newest_version && has_programs(directory)) {
            newest = directory;
            newest_version = number;
        }
    };
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored))
        consider(entry.path() / "bin", entry.path().filename().string());
    constexpr std::string_view prefix = "pgsql-";
    for (const auto& entry : fs::directory_iterator("/usr", ignored)) {
        const auto name = entry.path().filename().string();
        if (name.starts_with(prefix)) consider(entry.path() / "bin", name.substr(prefix.size()));
    }
    return newest;
}

[[noreturn]] void not_found(const std::string& where) {
    fail(errc::unavailable,
         "PostgreSQL's server programs (initdb and postgres) are not " + where +
             ": install the package 'postgresql' (Debian, Ubuntu) or 'postgresql-server' (Fedora, openSUSE), "
             "or name their directory in embedded_server_options::bin_directory or PGSTATE_PG_BINDIR");
}

} // namespace

fs::path find_programs(const fs::path& wanted, const account& user) {
    const char* const from_environment = std::getenv("PGSTATE_PG_BINDIR");
    if (!wanted.empty() || (from_environment && *from_environment)) {
        const auto directory = fs::absolute(wanted.empty() ? fs::path(from_environment) : wanted);
        if (!has_programs(directory)) not_found("in '" + directory.string() + "'");
        return directory;
    }
    if (auto directory = ask_pg_config(user); has_programs(directory)) return directory;
    if (auto directory = newest_installed(); !directory.empty()) return directory;
    for (const auto& directory : search_path())
        if (has_programs(directory)) return fs::absolute(directory);
    not_found("installed");
}

} // namespace pgstate::embedded
