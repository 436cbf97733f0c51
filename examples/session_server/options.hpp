#ifndef SESSION_SERVER_OPTIONS_HPP
#define SESSION_SERVER_OPTIONS_HPP

#include <pgstate/config.hpp>

#include <spdlog/common.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace session_server {

/// What a client may ask of the server.
struct limits {
    std::size_t body = std::size_t{1} << 20;    ///< bytes
    std::size_t header = std::size_t{16} << 10; ///< bytes, the request's first line included
    std::size_t connections = 1000;             ///< open at once
    std::size_t requests = 500;                 ///< under way at once
    std::chrono::milliseconds idle_timeout = std::chrono::seconds(60);  ///< between two requests
    std::chrono::milliseconds read_timeout = std::chrono::seconds(30);  ///< for all of a request
    std::chrono::milliseconds write_timeout = std::chrono::seconds(30); ///< for all of an answer
};

struct options {
    std::string address = "127.0.0.1";
    unsigned short port = 8080;      ///< 0: any that is free
    std::filesystem::path port_file; ///< where the port is written to, once the server can be reached
    unsigned threads = 1;

    std::string database_url;
    std::string table = "agent_states";
    pgstate::migrate_mode migrate = pgstate::migrate_mode::apply;
    bool embedded = false;
    std::filesystem::path embedded_data; ///< empty: a temporary directory

    limits bounds;
    std::chrono::milliseconds request_timeout = std::chrono::seconds(10);
    std::chrono::milliseconds ready_timeout = std::chrono::seconds(1);
    std::chrono::milliseconds shutdown_delay{0};
    std::chrono::milliseconds shutdown_grace = std::chrono::seconds(20);
    spdlog::level::level_enum log_level = spdlog::level::info;
    bool print_routes = false;
};

/// What the command line and the environment say, or the code to exit with where everything has been said already.
struct command_line {
    options chosen;
    std::optional<int> exit_code;
};

command_line parse(int argc, const char* const* argv);

} // namespace session_server

#endif
