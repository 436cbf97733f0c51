// How a program that keeps state is tested without a server: the function under test takes a `state_store&`, the test
// passes a `memory_store`, whose clock it sets by hand.
#include <pgstate/pgstate.hpp>

#include <boost/asio.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// What is tested: a turn of a conversation, which is forgotten after a day of silence.
asio::awaitable<std::string> answer(pgstate::state_store& store, std::string user, std::string question) {
    pgstate::change_options options;
    options.create = true;
    options.ttl = 24h;
    std::vector<pgstate::agent_message> turn;
    turn.emplace_back("user", question);
    turn.emplace_back("assistant", "You said: " + question);
    co_await store.append("echo", user, turn, options);
    co_return turn.back().content;
}

// [run]
template <class Test>
void run(asio::io_context& io, Test test) {
    std::exception_ptr failure;
    asio::co_spawn(io, std::move(test), [&](std::exception_ptr e) { failure = e; });
    io.run();
    if (failure) std::rethrow_exception(failure);
}
// [run]

} // namespace

TEST_CASE("both sides of a turn are kept") {
    asio::io_context io;
    // [memory_store]
    pgstate::memory_store store(io.get_executor());
    run(io, [&]() -> asio::awaitable<void> {
        co_await answer(store, "john", "Hello!");
        const auto state = co_await store.load("echo", "john");
        CHECK(state->history.size() == 2);
    });
    // [memory_store]
}

TEST_CASE("a conversation is forgotten after a day of silence") {
    asio::io_context io;
    // [clock]
    pgstate::timestamp now = std::chrono::sys_days(2026y / 1 / 1);
    pgstate::memory_store store(io.get_executor(), [&] { return now; });
    run(io, [&]() -> asio::awaitable<void> {
        co_await answer(store, "john", "Hello!");
        now += 23h;
        co_await answer(store, "john", "Still there?");
        now += 25h;
        const auto state = co_await store.load("echo", "john");
        CHECK_FALSE(state.has_value());
    });
    // [clock]
}
