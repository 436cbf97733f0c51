#include "integration/other_program.hpp"
#include "integration/store_support.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <catch2/catch_test_macros.hpp>
#include <unistd.h>

#include <array>
#include <deque>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::as_result;
using pgstate::errc;

TEST_CASE("a wrong password is said to be one, and is not repeated", "[connect]") {
    auto url = server().tcp_connection_string();
    const auto colon = url.find(':', url.find("//") + 2);
    const auto at = url.find('@');
    REQUIRE(colon < at);
    url.replace(colon + 1, at - colon - 1, "hunter2hunter2");
    const auto failure = open_failure(config_for(url));
    CHECK(failure.operation() == "open");
    CHECK(failure.sqlstate() == "28P01");
    CHECK(names(failure, "password authentication failed"));
    CHECK_FALSE(names(failure, "hunter2"));
}

TEST_CASE("an unknown database is named", "[connect]") {
    const auto failure = open_failure(config_for(server().connection_string("no_such_database")));
    CHECK(failure.sqlstate() == "3D000");
    CHECK(names(failure, "no_such_database"));
}

TEST_CASE("a closed port fails at once, and says where", "[connect]") {
    const auto begin = std::chrono::steady_clock::now();
    const auto failure = open_failure(config_for("postgresql://u:hunter2@127.0.0.1:1/d"));
    CHECK(std::chrono::steady_clock::now() - begin < 10s);
    CHECK(names(failure, "127.0.0.1"));
    CHECK(names(failure, "refused"));
    CHECK_FALSE(names(failure, "hunter2"));
}

TEST_CASE("several hosts are tried in turn", "[connect]") {
    const auto socket = server().socket_directory().string();
    const auto port = std::to_string(server().port());
    asio::io_context context;
    const auto settings = config_for("host=127.0.0.1," + socket + " port=1," + port +
                                     " user=postgres dbname=" + fresh_database_name());
    auto store = wait(context, pgstate::postgres_store::open(context.get_executor(), settings));
    CHECK(wait(context, store.count()) == 0);
    wait(context, store.close());
}

TEST_CASE("what libpq does not know is refused before anything is connected to", "[connect]") {
    const auto failure =
        open_failure(config_for("host=h no_such_option=1 password=hunter2"), errc::invalid_argument);
    CHECK(names(failure, "no_such_option"));
    CHECK_FALSE(names(failure, "hunter2"));
    CHECK(names(open_failure(config_for(""), errc::invalid_argument), "connection_string"));
    CHECK(names(open_failure(config_for("host=h pool_max_cons=3"), errc::invalid_argument), "pool_max_cons"));
}

TEST_CASE("a connect_timeout that is no number is refused by its name", "[connect]") {
    for (const std::string wrong : {"abc", "1.5", "10s", "1e3"}) {
        const auto failure = open_failure(
            config_for(server().connection_string() + "&connect_timeout=" + wrong), errc::invalid_argument);
        CHECK(names(failure, "connect_timeout is \"" + wrong + "\""));
    }
}

TEST_CASE("program: opens a database and saves a state", "[.]") {
    asio::io_context context;
    auto store = wait(context, pgstate::postgres_store::open(context.get_executor(),
                                                             config_for(other_program::argument())));
    wait(context, store.save(numbered_state(1, std::to_string(::getpid()))));
    wait(context, store.close());
}

TEST_CASE("sixteen processes open an empty database at once", "[connect]") {
    const auto settings = config_for(fresh_database());
    std::deque<other_program> programs; // none is moved
    for (int i = 0; i < 16; ++i)
        programs.emplace_back("program: opens a database and saves a state", settings.connection_string);
    for (auto& each : programs) {
        CHECK(each.answers().empty());
        CHECK(each.succeeds());
    }
    pqxx::connection observer(settings.connection_string);
    CHECK(pqxx::nontransaction(observer).exec("SELECT count(*) FROM agent_states")[0][0].as<int>() == 16);
}

TEST_CASE("a server that falls silent while TLS is set up holds up neither opening nor the end",
          "[connect][tls]") {
    constexpr auto limit = 500ms;
    constexpr auto grace = 2s;
    asio::io_context context;
    asio::ip::tcp::acceptor listening(context, {asio::ip::make_address("127.0.0.1"), 0});
    std::vector<asio::ip::tcp::socket> kept;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            for (;;) {
                auto socket = co_await listening.async_accept(asio::use_awaitable);
                std::array<char, 8> request{}; // SSLRequest
                co_await asio::async_read(socket, asio::buffer(request), asio::use_awaitable);
                co_await asio::async_write(socket, asio::buffer("S", 1), asio::use_awaitable);
                kept.push_back(std::move(socket));
            }
        },
        asio::detached);
    auto settings =
        config_for("postgresql://u:hunter2@127.0.0.1:" + std::to_string(listening.local_endpoint().port()) +
                   "/d?sslmode=require");
    settings.operation_timeout = limit;
    const auto begin = std::chrono::steady_clock::now();
    SECTION("opened and waited for") {
        const auto opened =
            wait(context, pgstate::postgres_store::open(context.get_executor(), settings, as_result));
        REQUIRE(opened.has_error());
        CHECK_FALSE(names(opened.error(), "hunter2"));
        CHECK(std::chrono::steady_clock::now() - begin >= limit);
    }
    SECTION("the pool alone, closed meanwhile") {
        auto pool = pgstate::connection_pool(context.get_executor(), settings);
        bool over = false;
        pool.with_connection([](pqxx::connection&) {}, as_result([&](pgstate::result<void> outcome) {
                                 CHECK(outcome.has_error());
                                 over = true;
                             }));
        run_until(context, [&] { return !kept.empty(); });
        CHECK(pool.stats().constructing_conns == 1);
        wait(context, pool.close());
        CHECK(pool.stats().constructing_conns == 0); // no thread is in libpq or OpenSSL any more
        run_until(context, [&] { return over; });
    }
    CHECK_FALSE(kept.empty());
    CHECK(std::chrono::steady_clock::now() - begin < limit + grace);
}
