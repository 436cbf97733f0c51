#include "integration/pooler.hpp"

#include "embedded/cluster.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <catch2/catch_test_macros.hpp>
#include <pqxx/connection>
#include <pqxx/except>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace pgstate_test {

namespace embedded = pgstate::embedded;
namespace fs = std::filesystem;

namespace {

constexpr auto pooler_port = "6432"; // of its socket: only a part of the file's name

std::string pooler_log(const fs::path& file) {
    std::ifstream log(file);
    return {std::istreambuf_iterator<char>(log), std::istreambuf_iterator<char>()};
}

void wait_until_it_accepts(const std::string& uri, const fs::path& log) {
    const auto until = std::chrono::steady_clock::now() + patience;
    for (;;) {
        try {
            const pqxx::connection connection(uri);
            return;
        } catch (const pqxx::broken_connection& failure) {
            if (std::chrono::steady_clock::now() > until)
                throw std::runtime_error(std::string(failure.what()) + "; its log:\n" + pooler_log(log));
        }
        std::this_thread::sleep_for(embedded::poll_interval);
    }
}

} // namespace

owned_directory::owned_directory()
    : user_(embedded::choose_account("postgres")), path_(embedded::make_temporary_directory(user_)) {}

owned_directory::~owned_directory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

fs::path owned_directory::write(const std::string& name, const std::string& text) const {
    const auto file = path_ / name;
    std::ofstream(file) << text;
    user_.take(file, S_IRUSR | S_IWUSR);
    return file;
}

fs::path find_program(const std::string& name) {
    const char* path = std::getenv("PATH"); // NOLINT(concurrency-mt-unsafe)
    std::string places = path ? path : "";
    places += ":/usr/sbin:/usr/local/sbin";
    for (std::string_view rest = places; !rest.empty();) {
        const auto end = std::min(rest.find(':'), rest.size());
        const auto candidate = fs::path(rest.substr(0, end)) / name;
        std::error_code ignored;
        if (candidate.is_absolute() && fs::is_regular_file(candidate, ignored)) return candidate;
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return {};
}

pooler::pooler(pooler_options options) : program_(find_program("pgbouncer")) {
    if (program_.empty()) SKIP("PgBouncer is not installed: nothing here was tested (package pgbouncer)");
    const auto& behind = server();
    std::string text =
        "[databases]\n* = host='" + behind.socket_directory().string() +
        "' port=" + std::to_string(behind.port()) + " user='" + options.user +
        "'\n[pgbouncer]\npool_mode = transaction\nauth_type = any\nlisten_addr =\nlisten_port = " +
        pooler_port + "\nunix_socket_dir = " + directory_.path().string() +
        "\ndefault_pool_size = " + std::to_string(options.server_connections) + "\n";
    if (keeps_prepared_statements()) // older ones do not know the setting
        text += "max_prepared_statements = " + std::to_string(options.max_prepared_statements) + "\n";
    settings_ = directory_.write("pgbouncer.ini", text);
    log_.reset(std::fopen((directory_ / "log").c_str(), "we"));
    if (!log_) throw std::runtime_error("no log can be written");
    start();
    wait_until_it_accepts(connection_string("postgres"), directory_ / "log");
}

void pooler::start() {
    std::error_code ignored;
    fs::remove(directory_ / (std::string(".s.PGSQL.") + pooler_port), ignored);
    process_.emplace(program_, std::vector<std::string>{settings_.string()}, directory_.user(), log_.get());
}

std::string pooler::connection_string(const std::string& database) const {
    return "postgresql://anybody@/" + database + "?host=" + directory_.path().string() +
           "&port=" + pooler_port;
}

std::string pooler::version() {
    const auto program = find_program("pgbouncer");
    if (program.empty()) return "0.0";
    const auto said = embedded::run(program, {"--version"}, embedded::choose_account("postgres"),
                                    std::chrono::steady_clock::now() + patience)
                          .output;
    constexpr std::string_view before = "PgBouncer ";
    const auto at = said.find(before);
    if (at == said.npos) return "0.0";
    return said.substr(at + before.size(),
                       said.find_first_not_of("0123456789.", at + before.size()) - (at + before.size()));
}

bool pooler::keeps_prepared_statements() {
    const auto text = version();
    const auto dot = text.find('.');
    int major = 0;
    int minor = 0;
    std::from_chars(text.data(), text.data() + std::min(dot, text.size()), major);
    if (dot != text.npos) std::from_chars(text.data() + dot + 1, text.data() + text.size(), minor);
    return major > 1 || (major == 1 && minor >= 21);
}

} // namespace pgstate_test
