// The event loop never waits for the database: no blocking call on its thread, and its timers keep their beat.

#include "integration/store_support.hpp"
#include "support/blocking_calls.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <catch2/catch_test_macros.hpp>
#include <pqxx/connection>
#include <pqxx/nontransaction>

#include <algorithm>
#include <chrono>
#include <exception>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::as_result;

namespace {

using clock_type = std::chrono::steady_clock;

/// Runs `function` on a context whose 10 ms timer is watched; gives the longest pause between two ticks.
template <class Function>
clock_type::duration longest_pause(Function function) {
    asio::io_context context;
    bool done = false;
    auto last = clock_type::now();
    clock_type::duration longest{0};
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            asio::steady_timer timer(context);
            while (!done) {
                timer.expires_after(10ms);
                co_await timer.async_wait(asio::use_awaitable);
                const auto now = clock_type::now();
                longest = std::max(longest, now - last);
                last = now;
            }
        },
        [](std::exception_ptr) {});
    wait(context, function(context));
    done = true;
    context.run();
    return longest;
}

} // namespace

TEST_CASE("the detector sees a blocking call", "[event_loop]") {
    const auto database = fresh_database();
    const no_blocking_here watch;
    pqxx::connection blocking(database);
    pqxx::nontransaction(blocking).exec("SELECT 1");
    CHECK_FALSE(no_blocking_here::seen().empty());
}

TEST_CASE("no operation blocks the event loop's thread", "[event_loop]") {
    auto settings = config_for(fresh_database() + "&pool_max_conns=3");
    settings.pool.validate_after_idle = 0ms; // the ping as well
    asio::io_context context;
    const no_blocking_here watch;
    auto store = wait(context, pgstate::postgres_store::open(context.get_executor(), settings));
    pgstate::agent_state state("agent", "session");
    state.data["text"] = std::string(300'000, 'x'); // more than a socket takes at once
    wait(context, store.save(state));
    auto loaded = wait(context, store.load("agent", "session"));
    CHECK(loaded.has_value());
    wait(context, store.save(*loaded, {.if_unchanged = true}));
    CHECK(wait(context, store.list("agent")).size() == 1);
    wait(context, store.count());
    wait(context, store.count("agent"));
    wait(context, store.health_check());
    wait(context, store.transaction([&](pgstate::transaction& tx) { tx.save(state); }));
    wait(context,
         store.pool().with_connection([](pqxx::connection& c) { pqxx::nontransaction(c).exec("SELECT 1"); }));
    store.pool().reset();
    wait(context, store.erase("agent", "session"));
    wait(context, store.close());

    auto broken = settings;
    broken.connection_string = "postgresql://localhost:1/none";
    const auto refused =
        wait(context, pgstate::postgres_store::open(context.get_executor(), broken, as_result));
    CHECK(refused.has_error());
    CHECK(no_blocking_here::seen() == std::vector<std::string>());
}

TEST_CASE("the beat goes on while a server that never answers is connected to", "[event_loop]") {
    // Takes connections, which the kernel does for it, and says nothing.
    asio::io_context silent;
    asio::ip::tcp::acceptor black_hole(silent, {asio::ip::address_v4::loopback(), 0});
    auto settings =
        config_for("postgresql://u@127.0.0.1:" + std::to_string(black_hole.local_endpoint().port()) + "/d");
    settings.pool.connect_timeout = 1500ms;
    const auto begin = clock_type::now();
    const auto pause = longest_pause([&](asio::io_context& context) -> asio::awaitable<void> {
        const auto opened =
            co_await pgstate::postgres_store::open(context.get_executor(), settings, as_result);
        CHECK(require_failure(opened, pgstate::errc::unavailable).operation() == "open");
    });
    CHECK(clock_type::now() - begin < 10s);
    CHECK(pause < 750ms); // a loop that waits for the connect stands still for twice as long
}

TEST_CASE("the beat goes on while the resolver is slow, and the time-out holds", "[event_loop]") {
    const slow_resolver never;
    auto settings = config_for("postgresql://u@slow.resolver.test/d");
    settings.operation_timeout = 1500ms;
    const auto begin = clock_type::now();
    const auto pause = longest_pause([&](asio::io_context& context) -> asio::awaitable<void> {
        const auto opened =
            co_await pgstate::postgres_store::open(context.get_executor(), settings, as_result);
        CHECK(opened.has_error());
    });
    CHECK(clock_type::now() - begin < 10s);
    CHECK(pause < 750ms); // a loop that waits for the connect stands still for twice as long
}

TEST_CASE("an open store at rest does not keep its event loop running", "[event_loop]") {
    asio::io_context context;
    std::optional<pgstate::postgres_store> store;
    const auto settings = config_for(fresh_database());
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
            pgstate::agent_state state("a", "s");
            co_await store->save(state);
        },
        [](std::exception_ptr failure) { CHECK_FALSE(failure); });
    const auto begin = clock_type::now();
    context.run(); // returns only when nothing is left to do
    CHECK(clock_type::now() - begin < 20s);
    CHECK(store.has_value());
}
