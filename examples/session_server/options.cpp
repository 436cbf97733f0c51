#include "options.hpp"

#include <CLI/CLI.hpp>
#if __has_include(<CLI/ExtraValidators.hpp>) // of CLI11 2.6 and newer
#    include <CLI/ExtraValidators.hpp>
#endif

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <string_view>
#include <system_error>
#include <thread>

namespace session_server {
namespace {

using std::chrono::milliseconds;

/// Every option has a variable in the environment: --max-body is also SESSION_SERVER_MAX_BODY.
std::string variable_of(std::string_view option) {
    std::string variable("SESSION_SERVER_");
    for (const char c : option.substr(2))
        variable += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return variable;
}

template <class Value>
CLI::Option* add(CLI::App& app, const std::string& name, Value& value, const std::string& help) {
    return app.add_option(name, value, help)->envname(variable_of(name))->capture_default_str();
}

void add_flag(CLI::App& app, const std::string& name, bool& value, const std::string& help) {
    app.add_flag(name, value, help)->envname(variable_of(name));
}

void add_size(CLI::App& app, const std::string& name, std::size_t& value, std::size_t least, std::size_t most,
              const std::string& help) {
    add(app, name, value, help)->transform(CLI::AsSizeValue(false))->check(CLI::Range(least, most));
}

void add_count(CLI::App& app, const std::string& name, std::size_t& value, const std::string& help) {
    add(app, name, value, help)->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}));
}

std::string spelled(milliseconds time) {
    const auto count = time.count();
    return count % 1000 == 0 ? std::to_string(count / 1000) + "s" : std::to_string(count) + "ms";
}

void add_duration(CLI::App& app, const std::string& name, milliseconds& value, const std::string& help,
                  std::uint32_t least = 1) {
    static const std::map<std::string, std::uint32_t> units{{"ms", 1}, {"s", 1000}, {"m", 60'000}};
    const std::function<void(const std::uint32_t&)> set = [&value](const std::uint32_t& count) {
        value = milliseconds(count);
    };
    app.add_option_function(name, set, help)
        ->envname(variable_of(name))
        ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::UNIT_REQUIRED, "TIME"))
        ->check(CLI::Range(least, std::uint32_t{86'400'000}))
        ->default_str(spelled(value));
}

template <class Enum>
void add_choice(CLI::App& app, const std::string& name, Enum& value,
                const std::map<std::string, Enum>& choices, const std::string& preset,
                const std::string& help) {
    app.add_option(name, value, help)
        ->envname(variable_of(name))
        ->transform(CLI::CheckedTransformer(choices))
        ->default_str(preset);
}

/// "127.0.0.1:8080", "[::1]:8080"
void set_listen(options& chosen, std::string_view text) {
    const auto colon = text.rfind(':');
    const auto port = text.substr(std::min(colon, text.size() - 1) + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), chosen.port);
    if (colon == text.npos || error != std::errc() || end != port.data() + port.size())
        throw CLI::ValidationError("--listen", "must be ADDRESS:PORT, as in 127.0.0.1:8080 or [::1]:8080");
    auto address = text.substr(0, colon);
    if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
    chosen.address = address;
}

void describe_network(CLI::App& app, options& chosen) {
    const std::function<void(const std::string&)> listen = [&chosen](const std::string& text) {
        set_listen(chosen, text);
    };
    app.add_option_function("--listen", listen, "where to listen; port 0: any that is free")
        ->envname(variable_of("--listen"))
        ->type_name("ADDRESS:PORT")
        ->default_str("127.0.0.1:8080");
    add(app, "--port-file", chosen.port_file,
        "a file that the port is written to once the server can be reached");
    add(app, "--threads", chosen.threads, "threads that answer requests")->check(CLI::Range(1U, 1024U));
}

void describe_database(CLI::App& app, options& chosen) {
    app.add_option("--database-url", chosen.database_url, "where PostgreSQL is")->envname("DATABASE_URL");
    add(app, "--table", chosen.table, "the table of the sessions");
    const std::map<std::string, pgstate::migrate_mode> modes{{"apply", pgstate::migrate_mode::apply},
                                                             {"verify", pgstate::migrate_mode::verify},
                                                             {"off", pgstate::migrate_mode::off}};
    add_choice(app, "--migrate", chosen.migrate, modes, "apply",
               "what to do about a table that is missing or old");
    add_flag(app, "--embedded", chosen.embedded, "start a private PostgreSQL and use that");
    add(app, "--embedded-data", chosen.embedded_data,
        "its data directory, kept for the next time; by default a temporary one");
}

void describe_limits(CLI::App& app, options& chosen) {
    constexpr std::size_t gibibyte = std::size_t{1} << 30;
    add_size(app, "--max-body", chosen.bounds.body, 1, gibibyte, "the largest body of a request");
    add_size(app, "--max-header", chosen.bounds.header, 256, gibibyte, "the largest header of a request");
    add_count(app, "--max-connections", chosen.bounds.connections,
              "connections at once; more are answered 503");
    add_count(app, "--max-requests", chosen.bounds.requests,
              "requests under way at once; more are answered 503");
    add_duration(app, "--idle-timeout", chosen.bounds.idle_timeout,
                 "how long a connection may wait between requests");
    add_duration(app, "--read-timeout", chosen.bounds.read_timeout, "how long a request may take to arrive");
    add_duration(app, "--write-timeout", chosen.bounds.write_timeout,
                 "how long an answer may take to be taken");
    add_duration(app, "--request-timeout", chosen.request_timeout,
                 "how long the database may take for a request");
    add_duration(app, "--ready-timeout", chosen.ready_timeout, "how long /readyz waits for the database");
    add_duration(app, "--shutdown-delay", chosen.shutdown_delay,
                 "how long to serve on after SIGTERM or SIGINT, while /readyz says 503", 0);
    add_duration(app, "--shutdown-grace", chosen.shutdown_grace,
                 "how long requests under way may take after that");
}

void describe(CLI::App& app, options& chosen) {
    app.set_version_flag("--version", std::string("session_server ") + SESSION_SERVER_VERSION);
    describe_network(app, chosen);
    describe_database(app, chosen);
    describe_limits(app, chosen);
    const std::map<std::string, spdlog::level::level_enum> levels{
        {"trace", spdlog::level::trace}, {"debug", spdlog::level::debug}, {"info", spdlog::level::info},
        {"warn", spdlog::level::warn},   {"error", spdlog::level::err},   {"off", spdlog::level::off}};
    add_choice(app, "--log-level", chosen.log_level, levels, "info", "the least level that is logged");
    app.add_flag("--print-routes", chosen.print_routes, "print each method and path, and end");
}

/// Newer releases of CLI11 pass over a variable whose value they would refuse on the command line.
void refuse_what_was_passed_over(const CLI::App& app) {
    for (const CLI::Option* option : app.get_options()) {
        const auto variable = option->get_envname();
        if (variable.empty() || option->count() > 0) continue;
        const char* value = std::getenv(variable.c_str());
        if (value && *value)
            throw CLI::ValidationError(option->get_name(), "the value of " + variable +
                                                               " is not one that it may have; see --help");
    }
}

} // namespace

command_line parse(int argc, const char* const* argv) {
    command_line said;
    said.chosen.threads = std::max(1U, std::thread::hardware_concurrency());
    CLI::App app("The sessions of agents, in PostgreSQL, over HTTP", "session_server");
    describe(app, said.chosen);
    try {
        app.parse(argc, argv);
        refuse_what_was_passed_over(app);
        if (!said.chosen.print_routes && !said.chosen.embedded && said.chosen.database_url.empty())
            throw CLI::RequiredError("--database-url, DATABASE_URL or --embedded");
    } catch (const CLI::ParseError& e) {
        said.exit_code = app.exit(e) == 0 ? 0 : 2;
    }
    return said;
}

} // namespace session_server
