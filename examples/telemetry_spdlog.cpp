// Where the store's log goes: pgstate::spdlog_logger writes it to a spdlog logger of the program, each record as one
// line with its attributes in logfmt. The logger's level decides what is written, and can change at any time.
// Runs on a private PostgreSQL.
#include <pgstate/adapters/spdlog.hpp>
#include <pgstate/embedded_server.hpp>
#include <pgstate/pgstate.hpp>

#include <boost/asio.hpp>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <exception>
#include <iostream>
#include <memory>
#include <string>

namespace asio = boost::asio;

namespace {

asio::awaitable<void> run_agent(pgstate::config config) {
    auto store = co_await pgstate::postgres_store::open(co_await asio::this_coro::executor, config);
    pgstate::agent_state state{"agent-1", "session-1"};
    co_await store.save(state);
    // There is such a state already: a conflict, which is logged at level debug.
    auto done = co_await store.save(state, {.if_unchanged = true}, pgstate::as_result);
    spdlog::info("the second save: {}", done ? "done" : done.error().what());
    co_await store.close();
}

} // namespace

int main() {
    try {
        // To the standard error and in the background, with a queue of 8,192 records, would be:
        //   spdlog::create_async<spdlog::sinks::stderr_sink_mt>("pgstate")
        auto log = spdlog::stdout_logger_mt("pgstate");
        log->set_level(spdlog::level::debug);

        const pgstate::embedded_server server;
        pgstate::config config{.connection_string = server.connection_string()};
        // [spdlog]
        config.logger = std::make_shared<pgstate::spdlog_logger>(log);
        // [spdlog]

        asio::io_context io;
        std::exception_ptr failure;
        asio::co_spawn(io, run_agent(config), [&](std::exception_ptr e) { failure = e; });
        io.run();
        if (failure) std::rethrow_exception(failure);
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "telemetry_spdlog: " << e.what() << '\n';
        return 1;
    }
}
