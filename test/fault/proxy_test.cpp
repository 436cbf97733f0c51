// What the proxy does to connections, seen from both of their ends.

#include "fault/proxy.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <pqxx/connection>
#include <pqxx/except>
#include <pqxx/nontransaction>

#include <chrono>
#include <string>
#include <utility>

using namespace pgstate_test;
using namespace std::chrono_literals;
using asio::ip::tcp;
using direction = fault_proxy::direction;
using ending = fault_proxy::ending;
using flow = fault_proxy::flow;
using clock_type = std::chrono::steady_clock;

namespace {

constexpr auto proxied_awaited = asio::as_tuple(asio::use_awaitable);

std::string proxied_bytes(std::size_t size) {
    std::string all;
    for (std::size_t i = 0; i < size; ++i)
        all.push_back(static_cast<char>('a' + i % 26));
    return all;
}

/// What came, and what ended it.
struct received {
    std::string bytes;
    boost::system::error_code end;
};

asio::awaitable<received> read_all(tcp::socket& from) {
    received got;
    const auto [failed, size] =
        co_await asio::async_read(from, asio::dynamic_buffer(got.bytes), proxied_awaited);
    got.end = failed;
    co_return got;
}

asio::awaitable<std::string> read_some(tcp::socket& from, std::size_t size) {
    std::string bytes(size, '\0');
    co_await asio::async_read(from, asio::buffer(bytes), asio::use_awaitable);
    co_return bytes;
}

asio::awaitable<void> write(tcp::socket& to, std::string bytes) {
    co_await asio::async_write(to, asio::buffer(bytes), asio::use_awaitable);
}

/// A listening socket, a proxy before it, and connections through both.
struct proxied {
    tcp::endpoint local() const { return {asio::ip::address_v4::loopback(), proxy.port()}; }

    asio::awaitable<std::pair<tcp::socket, tcp::socket>> connect() {
        tcp::socket client(context);
        co_await client.async_connect(local(), asio::use_awaitable);
        auto server = co_await listener.async_accept(asio::use_awaitable);
        client.set_option(tcp::no_delay(true));
        co_return std::pair{std::move(client), std::move(server)};
    }
    /// Until the proxy has ended so many.
    asio::awaitable<void> until_open(std::size_t count) {
        asio::steady_timer timer(context);
        while (proxy.count().open != count) {
            timer.expires_after(1ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
    }

    asio::io_context context;
    tcp::acceptor listener{context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
    fault_proxy proxy{{"127.0.0.1", listener.local_endpoint().port()}};
};

/// What was cut short ends so for its receiver; of a reset the bytes before it were delivered.
void check_end(const received& got, ending how) {
    if (how == ending::fin)
        CHECK(got.end == asio::error::eof);
    else
        CHECK(got.end == asio::error::connection_reset);
}

} // namespace

TEST_CASE("a proxy without faults passes everything on, and counts it", "[proxy]") {
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        auto [client, server] = co_await f.connect();
        const auto question = proxied_bytes(100'000);
        const auto answer = proxied_bytes(70'001);
        co_await write(client, question);
        const auto asked = co_await read_some(server, question.size());
        CHECK(asked == question);
        co_await write(server, answer);
        server.close();
        const auto answered = co_await read_all(client);
        CHECK(answered.bytes == answer);
        CHECK(answered.end == asio::error::eof);
        client.close();
        co_await f.until_open(0);
        const auto counts = f.proxy.count();
        CHECK(counts.connections == 1);
        CHECK(counts.bytes_to_server == question.size());
        CHECK(counts.bytes_to_client == answer.size());
        CHECK(counts.cuts == 0);
    });
}

TEST_CASE("a cut lets exactly the bytes through that it was told", "[proxy]") {
    const auto way = GENERATE(direction::to_server, direction::to_client);
    const auto how = GENERATE(ending::fin, ending::rst);
    const auto bytes = GENERATE(0U, 1U, 17U, 999U, 1000U, 40'000U);
    CAPTURE(way, how, bytes);
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        auto [client, server] = co_await f.connect();
        auto& from = way == direction::to_server ? client : server;
        auto& to = way == direction::to_server ? server : client;
        // It counts from when it is armed.
        co_await write(from, "before");
        const auto before = co_await read_some(to, 6);
        CHECK(before == "before");

        f.proxy.cut(way, bytes, how);
        const auto sent = proxied_bytes(50'000);
        co_await write(from, sent);
        const auto got = co_await read_all(to);
        CHECK(got.bytes == sent.substr(0, bytes));
        check_end(got, how);
        const auto other = co_await read_all(from);
        CHECK(other.bytes.empty());
        CHECK(f.proxy.count().cuts == 1);
        CHECK(f.proxy.count().open == 0);

        // Once only.
        auto [next_client, next_server] = co_await f.connect();
        co_await write(next_client, sent);
        const auto all = co_await read_some(next_server, sent.size());
        CHECK(all == sent);
    });
}

TEST_CASE("a cut that falls on the last byte comes after it", "[proxy]") {
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        auto [client, server] = co_await f.connect();
        f.proxy.cut(direction::to_server, 5, ending::fin);
        co_await write(client, "12345");
        const auto got = co_await read_all(server);
        CHECK(got.bytes == "12345");
        const auto other = co_await read_all(client);
        CHECK(other.end == asio::error::eof);
    });
}

TEST_CASE("a cut of the next connection counts from its start and leaves others alone", "[proxy]") {
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        auto [old_client, old_server] = co_await f.connect();
        f.proxy.cut_next(direction::to_server, 3, ending::fin);
        auto [client, server] = co_await f.connect();
        co_await write(old_client, "hello");
        const auto old = co_await read_some(old_server, 5);
        CHECK(old == "hello");
        co_await write(client, "hello");
        const auto got = co_await read_all(server);
        CHECK(got.bytes == "hel");
    });
}

TEST_CASE("a cut of one connection leaves others alone, and one of all counts them together", "[proxy]") {
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        auto [one, one_server] = co_await f.connect();
        auto [two, two_server] = co_await f.connect();
        const auto ids = f.proxy.connections();
        REQUIRE(ids.size() == 2);
        f.proxy.cut(ids[1], direction::to_server, 2, ending::fin);
        co_await write(one, "abcd");
        const auto first = co_await read_some(one_server, 4);
        CHECK(first == "abcd");
        co_await write(two, "abcd");
        const auto second = co_await read_all(two_server);
        CHECK(second.bytes == "ab");

        auto [three, three_server] = co_await f.connect();
        f.proxy.cut(direction::to_server, 6, ending::fin);
        co_await write(one, "abcd");
        const auto third = co_await read_some(one_server, 4);
        CHECK(third == "abcd");
        co_await write(three, "abcd");
        const auto fourth = co_await read_all(three_server);
        CHECK(fourth.bytes == "ab");
        CHECK(f.proxy.connections() == std::vector{ids[0]});
    });
}

TEST_CASE("a cut that is disarmed does not happen", "[proxy]") {
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        f.proxy.cut_next(direction::to_client, 1, ending::rst);
        f.proxy.disarm();
        auto [client, server] = co_await f.connect();
        f.proxy.cut(direction::to_server, 1, ending::rst);
        f.proxy.disarm();
        co_await write(client, "abc");
        co_await write(server, "def");
        const auto asked = co_await read_some(server, 3);
        const auto answered = co_await read_some(client, 3);
        CHECK(asked == "abc");
        CHECK(answered == "def");
    });
}

TEST_CASE("a delayed byte comes late, and a throttled stream takes its time", "[proxy]") {
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        auto [client, server] = co_await f.connect();
        fault_proxy::conditions late;
        late.delay = 80ms;
        f.proxy.set(direction::to_client, late);
        auto begin = clock_type::now();
        co_await write(server, "x");
        co_await read_some(client, 1);
        CHECK(clock_type::now() - begin >= 80ms);

        fault_proxy::conditions slow;
        slow.bytes_per_second = 100'000;
        f.proxy.set(direction::to_client, slow);
        begin = clock_type::now();
        co_await write(server, proxied_bytes(10'000));
        co_await read_some(client, 10'000);
        CHECK(clock_type::now() - begin >= 80ms); // the pause after the last piece is nobody's
    });
}

TEST_CASE("one-byte writes lose nothing", "[proxy]") {
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        auto [client, server] = co_await f.connect();
        fault_proxy::conditions pieces;
        pieces.one_byte_writes = true;
        f.proxy.set(f.proxy.connections().front(), direction::to_server, pieces);
        const auto sent = proxied_bytes(3000);
        co_await write(client, sent);
        const auto got = co_await read_some(server, sent.size());
        CHECK(got == sent);
        CHECK(f.proxy.count().writes_to_server == sent.size());
    });
}

TEST_CASE("a stalled direction stands still and then goes on, while the other passes", "[proxy]") {
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        auto [client, server] = co_await f.connect();
        f.proxy.set(direction::to_server, {.bytes = flow::stall});
        co_await write(client, "held");
        client.shutdown(tcp::socket::shutdown_send);
        co_await write(server, "passes");
        const auto other = co_await read_some(client, 6);
        CHECK(other == "passes");
        CHECK(f.proxy.count().bytes_to_server == 0);

        f.proxy.calm();
        const auto got = co_await read_all(server);
        CHECK(got.bytes == "held");
        CHECK(got.end == asio::error::eof);
    });
}

TEST_CASE("what is swallowed never comes", "[proxy]") {
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        auto [client, server] = co_await f.connect();
        f.proxy.set(direction::to_server, {.bytes = flow::swallow});
        co_await write(client, "gone");
        asio::steady_timer timer(f.context);
        while (f.proxy.count().bytes_swallowed < 4) {
            timer.expires_after(1ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
        // There is no stream with a hole in it.
        f.proxy.set(direction::to_server, {});
        co_await write(client, "too late");
        client.shutdown(tcp::socket::shutdown_send);
        const auto got = co_await read_all(server);
        CHECK(got.bytes.empty());
        CHECK(got.end == asio::error::eof);
        CHECK(f.proxy.count().bytes_to_server == 0);
    });
}

TEST_CASE("a proxy that refuses can be connected to again on its port", "[proxy]") {
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        for (int round = 0; round < 3; ++round) {
            f.proxy.accept(fault_proxy::arrivals::refuse);
            tcp::socket refused(f.context);
            const auto [failed] = co_await refused.async_connect(f.local(), proxied_awaited);
            CHECK(failed == asio::error::connection_refused);
            f.proxy.accept(fault_proxy::arrivals::forward);
            auto [client, server] = co_await f.connect();
            co_await write(client, "hello");
            const auto got = co_await read_some(server, 5);
            CHECK(got == "hello");
        }
    });
}

TEST_CASE("a black hole accepts and says nothing, until it is ended", "[proxy]") {
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        f.proxy.accept(fault_proxy::arrivals::black_hole);
        tcp::socket client(f.context);
        co_await client.async_connect(f.local(), asio::use_awaitable);
        co_await write(client, "anybody?");
        co_await f.until_open(1);
        CHECK(client.available() == 0);
        CHECK(f.proxy.count().bytes_to_server == 0);
        f.proxy.calm();
        const auto got = co_await read_all(client);
        CHECK(got.bytes.empty());
        check_end(got, ending::rst);
        auto [next, server] = co_await f.connect();
        co_await write(next, "hello");
        const auto there = co_await read_some(server, 5);
        CHECK(there == "hello");
    });
}

TEST_CASE("all connections can be ended at once", "[proxy]") {
    const auto how = GENERATE(ending::fin, ending::rst);
    CAPTURE(how);
    proxied f;
    run(f.context, [&]() -> asio::awaitable<void> {
        auto [one, one_server] = co_await f.connect();
        auto [two, two_server] = co_await f.connect();
        f.proxy.reset_all(how);
        for (auto* each : {&one, &one_server, &two, &two_server}) {
            const auto got = co_await read_all(*each);
            check_end(got, how);
        }
        CHECK(f.proxy.count().open == 0);
    });
}

TEST_CASE("a server that is not there ends the connection", "[proxy]") {
    proxied f;
    f.listener.close();
    run(f.context, [&]() -> asio::awaitable<void> {
        tcp::socket client(f.context);
        co_await client.async_connect(f.local(), asio::use_awaitable);
        const auto got = co_await read_all(client);
        check_end(got, ending::rst);
    });
}

TEST_CASE("PostgreSQL is reached through the proxy, over its socket and over TCP", "[proxy]") {
    fault_proxy by_socket(socket_of(server()));
    fault_proxy by_tcp(tcp_of(server()));
    pqxx::connection one(through(by_socket));
    pqxx::connection two(through_with_password(by_tcp, server()));
    CHECK(pqxx::nontransaction(one).exec("SELECT 1")[0][0].as<int>() == 1);
    CHECK(pqxx::nontransaction(two).exec("SELECT 1")[0][0].as<int>() == 1);
    by_tcp.cut(direction::to_client, 10, ending::fin);
    CHECK_THROWS_AS(pqxx::nontransaction(two).exec("SELECT 1"), pqxx::broken_connection);
}
