// The first program of the README, on a private server, or with --database URL on another.
#include <pgstate/embedded_server.hpp>

#include <boost/asio.hpp>

#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

// [quickstart]
#include <pgstate/pgstate.hpp>
namespace asio = boost::asio;

asio::awaitable<void> run_agent(std::string database_url) {
    // "postgres://user:pass@localhost:5432/mydb?pool_max_conns=8"
    pgstate::config config{.connection_string = database_url, .table_name = "quickstart"};
    auto store = co_await pgstate::postgres_store::open(co_await asio::this_coro::executor, config);

    pgstate::agent_state state{"agent-1", "session-1"};
    state.context["user"] = "john";
    (co_await store.save(state)).apply_to(state); // create or replace; version and times into `state`

    if (auto loaded = co_await store.load("agent-1", "session-1")) { // optional: a missing state is no error
        loaded->context["step"] = 2;
        loaded->history.emplace_back("user", "Hello!");
        co_await store.save(*loaded, {.if_unchanged = true}); // errc::conflict if another writer was first
    }
    for (auto& session : co_await store.list("agent-1")) // most recently updated first
        std::cout << session.session_id << '\n';
    co_await store.close(); // drains what is in flight
}
// [quickstart]

int main(int argc, char** argv) {
    try {
        std::unique_ptr<pgstate::embedded_server> server;
        std::string database_url;
        if (argc == 3 && argv[1] == std::string_view("--database")) {
            database_url = argv[2];
        } else if (argc == 1) {
            server = std::make_unique<pgstate::embedded_server>();
            database_url = server->connection_string();
        } else {
            throw std::invalid_argument(
                "the only option is --database URL, for another than a private server");
        }
        asio::io_context io;
        std::exception_ptr failure;
        asio::co_spawn(io, run_agent(database_url), [&](std::exception_ptr e) { failure = e; });
        io.run();
        if (failure) std::rethrow_exception(failure);
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "quickstart: " << e.what() << '\n';
        return 1;
    }
}
