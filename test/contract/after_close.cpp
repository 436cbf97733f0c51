// Once close() was called, no operation of any kind is accepted, also while others that were accepted before are under way.

#include "pgstate/postgres_store.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <string>
#include <thread>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

template <class T>
void check_closed(const pgstate::result<T>& outcome, const std::string& operation) {
    CAPTURE(operation);
    const auto why = require_failure(outcome, errc::closed);
    CHECK(why.operation() == operation);
}

asio::awaitable<void> check_all_closed(pgstate::state_store& store) {
    const agent_state state("a", "s");
    const std::vector<agent_state> states{agent_state("a", "1"), agent_state("a", "2")};
    const std::vector<pgstate::state_key> keys{{"a", "1"}, {"a", "2"}};
    const agent_message message("user", "hi");
    for (const bool conditional : {false, true}) {
        const auto saved = co_await store.save(state, {.if_unchanged = conditional}, as_result);
        check_closed(saved, "save");
    }
    const auto loaded = co_await store.load("a", "s", as_result);
    check_closed(loaded, "load");
    const auto erased = co_await store.erase("a", "s", as_result);
    check_closed(erased, "erase");
    const auto touched = co_await store.touch("a", "s", 1h, as_result);
    check_closed(touched, "touch");
    const pgstate::change_options creating{.create = true};
    const auto appended = co_await store.append("a", "s", message, creating, as_result);
    check_closed(appended, "append");
    const auto merged = co_await store.merge("a", "s", pgstate::state_patch(), creating, as_result);
    check_closed(merged, "merge");
    const auto incremented = co_await store.increment("a", "s", "/data/n", 1, creating, as_result);
    check_closed(incremented, "increment");
    const auto listed = co_await store.list("a", as_result);
    check_closed(listed, "list");
    const auto agents = co_await store.list_agents(as_result);
    check_closed(agents, "list_agents");
    const auto found = co_await store.find(pgstate::state_query(), as_result);
    check_closed(found, "find");
    const auto counted = co_await store.count(as_result);
    check_closed(counted, "count");
    const auto counted_of = co_await store.count("a", as_result);
    check_closed(counted_of, "count");
    const auto estimated = co_await store.count({.estimate = true}, as_result);
    check_closed(estimated, "count");
    const auto health = co_await store.health_check(as_result);
    check_closed(health, "health_check");
    auto never = [](pgstate::transaction&) { FAIL("a transaction ran after close()"); };
    const auto done = co_await store.transaction(never, as_result);
    check_closed(done, "transaction");
    auto no_change = [](agent_state&) { FAIL("an update ran after close()"); };
    const pgstate::update_options updating{.create = true};
    const auto updated = co_await store.update("a", "s", no_change, updating, as_result);
    check_closed(updated, "update");
    const auto all = co_await store.load_all(keys, as_result);
    check_closed(all, "load_all");
    const auto none = co_await store.erase_all(keys, as_result);
    check_closed(none, "erase_all");
    const auto each = co_await store.save_all(states);
    for (const auto& one : each)
        check_closed(one, "save");
    pgstate::save_all_options together;
    together.atomic = true;
    const auto atomic = co_await store.save_all(states, together, as_result);
    check_closed(atomic, "save_all");
    if (auto* const postgres = dynamic_cast<pgstate::postgres_store*>(&store)) {
        auto never_called = [](pqxx::connection&) { FAIL("a function got a connection after close()"); };
        const auto lent = co_await postgres->pool().with_connection(never_called, as_result);
        check_closed(lent, "with_connection");
    }
}

} // namespace

TEST_CASE("after close() every operation is refused", "[contract][close]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        co_await store->close();
        co_await check_all_closed(*store);
    });
}

TEST_CASE("while close() waits every operation is refused", "[contract][close]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    if (kind == store_kind::memory) {
        // Its transactions run on the event loop: close() is called from inside one.
        bool closed = false;
        std::exception_ptr failure;
        store->transaction(
            [&](pgstate::transaction& tx) {
                tx.save(agent_state("t", "before"));
                store->close([&](std::exception_ptr) { closed = true; });
                store->transaction(
                    [](pgstate::transaction&) { FAIL("ran after close()"); },
                    as_result([](pgstate::result<void> outcome) { check_closed(outcome, "transaction"); }));
                tx.save(agent_state("t", "after"));
            },
            [&](std::exception_ptr why) { failure = std::move(why); });
        store.run_until([&] { return closed; });
        CHECK_FALSE(failure);
        return;
    }
    std::atomic<bool> entered{false};
    std::atomic<bool> go_on{false};
    std::optional<pgstate::result<void>> transaction;
    bool closed = false;
    store->transaction(
        [&](pgstate::transaction& tx) {
            tx.save(agent_state("t", "before"));
            entered = true;
            while (!go_on)
                std::this_thread::sleep_for(1ms);
            tx.save(agent_state("t", "after"));
        },
        as_result([&](pgstate::result<void> outcome) { transaction = std::move(outcome); }));
    store.run([&]() -> asio::awaitable<void> {
        asio::steady_timer timer(store.context());
        while (!entered) {
            timer.expires_after(1ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
        store->close([&](std::exception_ptr) { closed = true; });
        co_await check_all_closed(*store);
    });
    CHECK_FALSE(closed);
    CHECK_FALSE(transaction.has_value());
    go_on = true;
    store.run_until([&] { return closed && transaction.has_value(); });
    CHECK(transaction->has_value()); // it was accepted, and ended as if nothing had been closed
}

TEST_CASE("close() waits for transactions that wait for a connection", "[contract][close]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    constexpr int count = 30; // more than there are connections
    int committed = 0;
    bool closed = false;
    for (int i = 0; i < count; ++i)
        store->transaction([i](pgstate::transaction& tx) { tx.save(agent_state("t", std::to_string(i))); },
                           [&](std::exception_ptr failure) {
                               CHECK_FALSE(failure);
                               CHECK_FALSE(closed);
                               ++committed;
                           });
    store->close([&](std::exception_ptr failure) {
        CHECK_FALSE(failure);
        closed = true;
    });
    store.run_until([&] { return closed && committed == count; });
}
