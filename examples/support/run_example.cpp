#include "run_example.hpp"

#include <pgstate/embedded_server.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;

int run_blocking_example(const char* name, const std::function<void(pgstate::config)>& example) {
    try {
        std::unique_ptr<pgstate::embedded_server> server;
        pgstate::config config;
        const char* given = std::getenv("DATABASE_URL");
        config.connection_string = given ? given : "";
        if (config.connection_string.empty()) {
            server = std::make_unique<pgstate::embedded_server>();
            config.connection_string = server->connection_string();
        }
        config.table_name = "pgstate_examples";
        example(config);
        return 0;
    } catch (const std::exception& e) {
        std::cerr << name << ": " << e.what() << '\n';
        return 1;
    }
}

int run_example(const char* name, const std::function<asio::awaitable<void>(pgstate::config)>& example) {
    return run_blocking_example(name, [&example](pgstate::config config) {
        asio::io_context io;
        std::exception_ptr failure;
        asio::co_spawn(io, example(std::move(config)), [&](std::exception_ptr e) { failure = e; });
        io.run();
        if (failure) std::rethrow_exception(failure);
    });
}

void expect(bool holds, const char* what) {
    if (!holds) throw std::runtime_error(std::string("expected: ") + what);
}
