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

struct opened_pool {
    template <class Operation>
    auto wait(Operation operation) {
        return pgstate_test::wait(context, std::move(operation));
    }
    template <class Function>
    auto use(Function function) {
        return wait(pool.with_connection(std::move(function)));
    }

    explicit opened_pool(const pgstate::config& settings = config_for(fresh_database()))
        : pool(context.get_executor(), settings) {}
    opened_pool(const opened_pool&) = delete;
    opened_pool& operator=(const opened_pool&) = delete;
    ~opened_pool() {
        try {
            pgstate_test::wait(context, pool.close());
        } catch (...) {
            // Cases about closing say what must hold; here it is only tidied up.
        }
    }

    asio::io_context context;
    connection_pool pool;
};

} // namespace

TEST_CASE("a function's value comes back, and the connection is used again", "[pool]") {
    opened_pool f;
    CHECK(f.use(backend) == f.use(backend));
    const auto stats = f.pool.stats();
    CHECK(stats.new_conns_count == 1);
    CHECK(stats.acquire_count == 2);
    CHECK(stats.empty_acquire_count == 1);
    CHECK(stats.idle_conns == 1);
    CHECK(stats.acquired_conns == 0);
}

TEST_CASE("what a function throws keeps its meaning", "[pool]") {
    opened_pool f;
    const auto refused = f.wait(f.pool.with_connection(
        [](pqxx::connection& c) { pqxx::nontransaction(c).exec("SELECT * FROM nowhere"); }, as_result));
    REQUIRE(refused.has_error());
    CHECK(refused.error() == pgstate::sqlstate::undefined_table);
    CHECK_THROWS_AS(std::rethrow_exception(refused.error().cause()), pqxx::undefined_table);

    const auto thrown = f.wait(
        f.pool.with_connection([](pqxx::connection&) { throw std::out_of_range("far out"); }, as_result));
    const auto failure = require_failure(thrown, errc::callback_failed);
    CHECK_THROWS_AS(std::rethrow_exception(failure.cause()), std::out_of_range);
}

TEST_CASE("an open transaction is rolled back before the connection goes on", "[pool]") {
    auto settings = config_for(fresh_database() + "&pool_max_conns=1");
    opened_pool f(settings);
    const int first = f.use([](pqxx::connection& c) {
        pqxx::nontransaction(c).exec("BEGIN");
        pqxx::nontransaction(c).exec("CREATE TABLE left_open (x int)");
        return backend(c);
    });
    const bool gone = f.use([first](pqxx::connection& c) {
        CHECK(backend(c) == first);
        return pqxx::nontransaction(c).exec("SELECT to_regclass('left_open')")[0][0].is_null();
    });
    CHECK(gone);
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
    opened_pool f(settings);
    const int first = f.use([](pqxx::connection& c) {
        CHECK(pqxx::nontransaction(c).exec("SHOW application_name")[0][0].as<std::string>() == "hooked");
        return backend(c);
    });
    CHECK(f.use(backend) != first); // refused once, so on another connection
    CHECK(*made == 2);
    CHECK(*asked == 3);
}

TEST_CASE("a hook that throws fails the connect with its reason", "[pool]") {
    auto settings = config_for(fresh_database());
    settings.pool.after_connect = [](pqxx::connection&) { throw std::runtime_error("no thanks"); };
    settings.operation_timeout = 2s;
    opened_pool f(settings);
    const auto none = f.wait(f.pool.with_connection(backend, as_result));
    CHECK(names(require_failure(none, errc::unavailable), "no thanks"));
}

TEST_CASE("reset replaces the connections", "[pool]") {
    opened_pool f;
    const int first = f.use(backend);
    f.pool.reset();
    CHECK(f.pool.stats().idle_conns == 0);
    const int second = f.use([&f](pqxx::connection& c) {
        f.pool.reset(); // also the one in use, when it comes back
        return backend(c);
    });
    CHECK(first != second);
    CHECK(f.use(backend) != second);
}

TEST_CASE("a connection past its lifetime is not handed out again", "[pool]") {
    auto settings = config_for(fresh_database());
    settings.pool.max_conn_lifetime = 1ms;
    opened_pool f(settings);
    const int first = f.use([](pqxx::connection& c) {
        pqxx::nontransaction(c).exec("SELECT pg_sleep(0.01)");
        return backend(c);
    });
    CHECK(f.use(backend) != first);
    CHECK(f.pool.stats().max_lifetime_destroy_count >= 1);
}

TEST_CASE("minimum and idle time are kept up in the background", "[pool]") {
    auto settings = config_for(fresh_database() + "&pool_min_conns=2&pool_max_conns=4");
    settings.pool.health_check_period = 20ms;
    settings.pool.max_conn_idle_time = 1ms;
    opened_pool f(settings);
    poll_until(f.context, [&] { return f.pool.stats().idle_conns == 2; });
}

TEST_CASE("callers are served in the order in which they came", "[pool]") {
    std::vector<int> served;
    opened_pool f(config_for(fresh_database() + "&pool_max_conns=1"));
    for (int i = 0; i < 20; ++i)
        f.pool.with_connection([&served, i](pqxx::connection&) { served.push_back(i); },
                               [](std::exception_ptr) {});
    run_until(f.context, [&] { return served.size() == 20; });
    CHECK(std::is_sorted(served.begin(), served.end()));
}

TEST_CASE("a closed pool refuses, and closing waits for what is in use", "[pool]") {
    opened_pool f;
    bool used = false;
    bool closed = false;
    f.pool.with_connection([](pqxx::connection& c) { pqxx::nontransaction(c).exec("SELECT pg_sleep(0.05)"); },
                           [&](std::exception_ptr failure) { used = !failure && !closed; });
    run_until(f.context, [&] { return f.pool.stats().acquired_conns == 1; });
    f.wait(f.pool.close());
    closed = true;
    require_failure(f.wait(f.pool.with_connection(backend, as_result)), errc::closed);
    CHECK(used);
    CHECK(f.pool.stats().total_conns == 0);
}
