#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <pqxx/except>

#include <atomic>
#include <exception>
#include <memory>
#include <stdexcept>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::as_result;
using pgstate::connection_pool;
using pgstate::errc;

namespace {

int backend(pqxx::connection& connection) {
    return connection.backendpid();
}

template <class Function>
void with_pool(const pgstate::config& settings, Function function) {
    asio::io_context context;
    connection_pool pool(context.get_executor(), settings);
    run(context, [&]() -> asio::awaitable<void> {
        co_await function(pool);
        co_await pool.close();
    });
}

} // namespace

TEST_CASE("a function's value comes back, and the connection is used again", "[pool]") {
    with_pool(config_for(fresh_database()), [](connection_pool& pool) -> asio::awaitable<void> {
        const int first = co_await pool.with_connection(backend);
        const int second = co_await pool.with_connection(backend);
        CHECK(first == second);
        const auto stats = pool.stats();
        CHECK(stats.new_conns_count == 1);
        CHECK(stats.acquire_count == 2);
        CHECK(stats.empty_acquire_count == 1);
        CHECK(stats.idle_conns == 1);
        CHECK(stats.acquired_conns == 0);
    });
}

TEST_CASE("what a function throws keeps its meaning", "[pool]") {
    with_pool(config_for(fresh_database()), [](connection_pool& pool) -> asio::awaitable<void> {
        const auto refused = co_await pool.with_connection(
            [](pqxx::connection& c) { pqxx::nontransaction(c).exec("SELECT * FROM nowhere"); }, as_result);
        REQUIRE(refused.has_error());
        CHECK(refused.error() == pgstate::sqlstate::undefined_table);
        CHECK_THROWS_AS(std::rethrow_exception(refused.error().cause()), pqxx::undefined_table);

        const auto thrown = co_await pool.with_connection(
            [](pqxx::connection&) { throw std::out_of_range("far out"); }, as_result);
        const auto failure = require_failure(thrown, errc::callback_failed);
        CHECK_THROWS_AS(std::rethrow_exception(failure.cause()), std::out_of_range);
    });
}

TEST_CASE("an open transaction is rolled back before the connection goes on", "[pool]") {
    auto settings = config_for(fresh_database() + "&pool_max_conns=1");
    with_pool(settings, [](connection_pool& pool) -> asio::awaitable<void> {
        const int first = co_await pool.with_connection([](pqxx::connection& c) {
            pqxx::nontransaction(c).exec("BEGIN");
            pqxx::nontransaction(c).exec("CREATE TABLE left_open (x int)");
            return backend(c);
        });
        const bool there = co_await pool.with_connection([first](pqxx::connection& c) {
            CHECK(backend(c) == first);
            return !pqxx::nontransaction(c).exec("SELECT to_regclass('left_open')")[0][0].is_null();
        });
        CHECK_FALSE(there);
    });
}

TEST_CASE("hooks see every new connection and every hand-out", "[pool]") {
    auto settings = config_for(fresh_database() + "&pool_max_conns=1");
    auto made = std::make_shared<std::atomic<int>>(0);
    auto asked = std::make_shared<std::atomic<int>>(0);
    settings.pool.after_connect = [made](pqxx::connection& c) {
        ++*made;
        pqxx::nontransaction(c).exec("SET application_name = 'hooked'");
    };
    settings.pool.before_acquire = [asked](pqxx::connection&) { return ++*asked != 2; };
    with_pool(settings, [&](connection_pool& pool) -> asio::awaitable<void> {
        const int first = co_await pool.with_connection([](pqxx::connection& c) {
            CHECK(pqxx::nontransaction(c).exec("SHOW application_name")[0][0].as<std::string>() == "hooked");
            return backend(c);
        });
        const int second = co_await pool.with_connection(backend); // refused once, so on another connection
        CHECK(first != second);
        CHECK(*made == 2);
        CHECK(*asked == 3);
    });
}

TEST_CASE("a hook that throws fails the connect with its reason", "[pool]") {
    auto settings = config_for(fresh_database());
    settings.pool.after_connect = [](pqxx::connection&) { throw std::runtime_error("no thanks"); };
    settings.operation_timeout = 2s;
    with_pool(settings, [](connection_pool& pool) -> asio::awaitable<void> {
        const auto none = co_await pool.with_connection(backend, as_result);
        const auto failure = require_failure(none, errc::unavailable);
        CHECK(std::string_view(failure.what()).find("no thanks") != std::string_view::npos);
    });
}

TEST_CASE("reset replaces the connections", "[pool]") {
    with_pool(config_for(fresh_database()), [](connection_pool& pool) -> asio::awaitable<void> {
        const int first = co_await pool.with_connection(backend);
        pool.reset();
        CHECK(pool.stats().idle_conns == 0);
        const int second = co_await pool.with_connection([&pool](pqxx::connection& c) {
            pool.reset(); // also the one in use, when it comes back
            return backend(c);
        });
        const int third = co_await pool.with_connection(backend);
        CHECK(first != second);
        CHECK(second != third);
    });
}

TEST_CASE("a connection past its lifetime is not handed out again", "[pool]") {
    auto settings = config_for(fresh_database());
    settings.pool.max_conn_lifetime = 1ms;
    with_pool(settings, [](connection_pool& pool) -> asio::awaitable<void> {
        const int first = co_await pool.with_connection([](pqxx::connection& c) {
            pqxx::nontransaction(c).exec("SELECT pg_sleep(0.01)");
            return backend(c);
        });
        const int second = co_await pool.with_connection(backend);
        CHECK(first != second);
        CHECK(pool.stats().max_lifetime_destroy_count >= 1);
    });
}

TEST_CASE("minimum and idle time are kept up in the background", "[pool]") {
    auto settings = config_for(fresh_database() + "&pool_min_conns=2&pool_max_conns=4");
    settings.pool.health_check_period = 20ms;
    settings.pool.max_conn_idle_time = 1ms;
    asio::io_context context;
    connection_pool pool(context.get_executor(), settings);
    run(context, [&]() -> asio::awaitable<void> {
        asio::steady_timer timer(context);
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (pool.stats().idle_conns < 2 && std::chrono::steady_clock::now() < deadline) {
            timer.expires_after(5ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
        CHECK(pool.stats().idle_conns == 2);
        co_await pool.close();
    });
}

TEST_CASE("callers are served in the order in which they came", "[pool]") {
    auto settings = config_for(fresh_database() + "&pool_max_conns=1");
    asio::io_context context;
    connection_pool pool(context.get_executor(), settings);
    std::vector<int> served;
    for (int i = 0; i < 20; ++i)
        pool.with_connection([&served, i](pqxx::connection&) { served.push_back(i); },
                             [](std::exception_ptr) {});
    run_until(context, [&] { return served.size() == 20; });
    CHECK(std::is_sorted(served.begin(), served.end()));
    run(context, [&]() -> asio::awaitable<void> { co_await pool.close(); });
}

TEST_CASE("a closed pool refuses, and closing waits for what is in use", "[pool]") {
    asio::io_context context;
    connection_pool pool(context.get_executor(), config_for(fresh_database()));
    bool used = false;
    bool closed = false;
    pool.with_connection([](pqxx::connection& c) { pqxx::nontransaction(c).exec("SELECT pg_sleep(0.05)"); },
                         [&](std::exception_ptr failure) { used = !failure && !closed; });
    run_until(context, [&] { return pool.stats().acquired_conns == 1; });
    run(context, [&]() -> asio::awaitable<void> {
        co_await pool.close();
        closed = true;
        const auto none = co_await pool.with_connection(backend, as_result);
        require_failure(none, errc::closed);
    });
    CHECK(used);
    CHECK(pool.stats().total_conns == 0);
}
