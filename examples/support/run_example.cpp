#include "run_example.hpp"

#include <pgstate/embedded_server.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace asio = boost::asio;

int run_blocking_example(int argc, const char* const* argv,
                         const std::function<void(pgstate::config)>& example) {
    const std::string name = std::filesystem::path(argv[0]).filename().string();
    try {
        std::unique_ptr<pgstate::embedded_server> server;
        pgstate::config config;
        if (argc == 3 && argv[1] == std::string_view("--database")) {
            config.connection_string = argv[2];
        } else if (argc == 1) {
            server = std::make_unique<pgstate::embedded_server>();
            config.connection_string = server->connection_string();
        } else {
            throw std::invalid_argument(
                "the only option is --database URL, for another than a private server");
        }
        config.table_name = "pgstate_example_" + name;
        example(config);
        return 0;
    } catch (const std::exception& e) {
        std::cerr << name << ": " << e.what() << '\n';
        return 1;
    }
}

int run_example(int argc, const char* const* argv,
                const std::function<asio::awaitable<void>(pgstate::config)>& example) {
    return run_blocking_example(argc, argv, [&example](pgstate::config config) {
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
