#include "pgstate/memory_store.hpp"

#include "support/run.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::memory_store;
using pgstate::timestamp;
using std::chrono::microseconds;

TEST_CASE("a memory_store takes its times from the clock it is given, and counts its versions from 1",
          "[memory]") {
    asio::io_context context;
    timestamp now{microseconds(1000)};
    memory_store store(context.get_executor(), [&] { return now; });
    run(context, [&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        const auto first = co_await store.save(state);
        CHECK(first == pgstate::saved{1, now, now});
        const auto same_moment = co_await store.save(state);
        CHECK(same_moment == pgstate::saved{2, now, now});
        now += microseconds(500);
        const auto later = co_await store.save(state);
        CHECK(later == pgstate::saved{3, timestamp(microseconds(1000)), now});
        now -= microseconds(1400); // a clock set back
        const auto back = co_await store.save(state);
        CHECK(back == pgstate::saved{4, timestamp(microseconds(1000)), now});
        co_await store.erase("a", "s");
        const auto again = co_await store.save(state);
        CHECK(again == pgstate::saved{5, now, now});
    });
}

TEST_CASE("sessions of one moment are listed in descending order of their bytes", "[memory]") {
    asio::io_context context;
    memory_store store(context.get_executor(), [] { return timestamp(microseconds(5)); });
    run(context, [&]() -> asio::awaitable<void> {
        for (const char* session : {"b", "Z", "é", "a", "aa"}) {
            const agent_state state("a", session);
            co_await store.save(state);
        }
        std::vector<std::string> sessions;
        pgstate::list_options options(2);
        for (;;) {
            const auto page = co_await store.list("a", options);
            for (const auto& s : page)
                sessions.push_back(s.session_id);
            if (page.next.empty()) break;
            options.after = page.next;
        }
        CHECK(sessions == std::vector<std::string>{"é", "b", "aa", "a", "Z"});
    });
}

TEST_CASE("a transaction that lost a race runs again", "[memory]") {
    asio::io_context context;
    memory_store store(context.get_executor());
    int attempts = 0;
    const auto add_one = [&](pgstate::transaction& tx) {
        ++attempts;
        auto state = tx.load("a", "s").value_or(agent_state("a", "s"));
        if (attempts == 1) {
            agent_state other("a", "s");
            other.data["n"] = 10;
            store.save(other, [](std::exception_ptr failure, pgstate::saved) { CHECK_FALSE(failure); });
        }
        state.data["n"] = (state.data.contains("n") ? state.data.at("n").as_int64() : 0) + 1;
        tx.save(state);
        return attempts;
    };
    run(context, [&]() -> asio::awaitable<void> {
        const int result = co_await store.transaction(add_one);
        CHECK(result == 2);
        const auto loaded = co_await store.load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("n") == 11);
    });
    CHECK(attempts == 2);
}

TEST_CASE("a transaction that always loses fails with a serialization failure", "[memory]") {
    asio::io_context context;
    memory_store store(context.get_executor());
    int attempts = 0;
    run(context, [&]() -> asio::awaitable<void> {
        pgstate::transaction_options options;
        options.max_retries = 3;
        const auto result = co_await store.transaction(
            [&](pgstate::transaction& tx) {
                ++attempts;
                agent_state mine("a", "s");
                mine.data["writer"] = "transaction";
                tx.save(mine);
                agent_state other("a", "s");
                other.data["writer"] = "other";
                store.save(other, [](std::exception_ptr, pgstate::saved) {});
            },
            options, as_result);
        REQUIRE(result.has_error());
        CHECK(result.error() == pgstate::sqlstate::serialization_failure);
        CHECK(result.error().sqlstate() == "40001");
        CHECK(result.error().operation() == "transaction");
        const auto loaded = co_await store.load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("writer") == "other");
    });
    CHECK(attempts == 4);
}

TEST_CASE("other writers of other keys do not disturb a transaction", "[memory]") {
    asio::io_context context;
    memory_store store(context.get_executor());
    int attempts = 0;
    run(context, [&]() -> asio::awaitable<void> {
        co_await store.transaction([&](pgstate::transaction& tx) {
            ++attempts;
            const agent_state mine("a", "mine");
            tx.save(mine);
            const auto read = tx.load("a", "only read");
            for (const char* session : {"only read", "other"}) {
                const agent_state other("a", session);
                store.save(other, [](std::exception_ptr, pgstate::saved) {});
            }
        });
        const auto total = co_await store.count();
        CHECK(total == 3);
    });
    CHECK(attempts == 1);
}

TEST_CASE("nobody sees a transaction before its commit", "[memory]") {
    asio::io_context context;
    memory_store store(context.get_executor());
    std::optional<bool> seen;
    bool done = false;
    store.transaction(
        [&](pgstate::transaction& tx) {
            const agent_state state("a", "s");
            tx.save(state);
            store.load("a", "s",
                       [&](std::exception_ptr, std::optional<agent_state> s) { seen = s.has_value(); });
        },
        [&](std::exception_ptr failure) {
            CHECK_FALSE(failure);
            done = true;
        });
    run_until(context, [&] { return done && seen.has_value(); });
    CHECK(seen == false);
}

TEST_CASE("a memory_store has no SQL", "[memory]") {
    asio::io_context context;
    memory_store store(context.get_executor());
    run(context, [&]() -> asio::awaitable<void> {
        const auto result = co_await store.transaction([](pgstate::transaction& tx) { tx.sql(); }, as_result);
        const auto error = require_failure(result, errc::invalid_argument);
        CHECK(names(error, "postgres_store"));
    });
}

TEST_CASE("close waits for a transaction that was accepted", "[memory]") {
    asio::io_context context;
    memory_store store(context.get_executor());
    std::vector<std::string> events;
    store.transaction([&](pgstate::transaction&) { events.emplace_back("ran"); },
                      [&](std::exception_ptr failure) {
                          CHECK_FALSE(failure);
                          events.emplace_back("completed");
                      });
    store.close([&](std::exception_ptr failure) {
        CHECK_FALSE(failure);
        events.emplace_back("closed");
    });
    run_until(context, [&] { return events.size() == 3; });
    CHECK(events == std::vector<std::string>{"ran", "completed", "closed"});
}

TEST_CASE("operations outlive the store", "[memory]") {
    asio::io_context context;
    int done = 0;
    {
        memory_store store(context.get_executor());
        const agent_state state("a", "s");
        store.save(state, [&](std::exception_ptr failure, pgstate::saved) { done += !failure; });
        store.load("a", "s",
                   [&](std::exception_ptr, std::optional<agent_state> s) { done += s.has_value(); });
        store.transaction([&](pgstate::transaction& tx) { done += tx.load("a", "s").has_value(); },
                          [&](std::exception_ptr failure) { done += !failure; });
    }
    context.run();
    CHECK(done == 4);
}

TEST_CASE("what was never run is freed with its context", "[memory]") {
    auto alive = std::make_shared<int>(1);
    {
        auto context = std::make_unique<asio::io_context>();
        memory_store store(context->get_executor());
        const agent_state state("a", "s");
        store.save(state, [alive](std::exception_ptr, pgstate::saved) { FAIL("ran"); });
        store.transaction([alive](pgstate::transaction&) { FAIL("ran"); },
                          [alive](std::exception_ptr) { FAIL("ran"); });
        store.close([alive](std::exception_ptr) { FAIL("ran"); });
        CHECK(alive.use_count() > 1);
        context.reset();
    }
    CHECK(alive.use_count() == 1);
}
