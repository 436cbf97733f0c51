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

void check_all_closed(store_under_test& store) {
    const agent_state state("a", "s");
    const std::vector<agent_state> states{agent_state("a", "1"), agent_state("a", "2")};
    const std::vector<pgstate::state_key> keys{{"a", "1"}, {"a", "2"}};
    const agent_message message("user", "hi");
    for (const bool conditional : {false, true})
        store.failure(store->save(state, {.if_unchanged = conditional}, as_result), errc::closed, "save");
    store.failure(store->load("a", "s", as_result), errc::closed, "load");
    store.failure(store->erase("a", "s", as_result), errc::closed, "erase");
    store.failure(store->touch("a", "s", 1h, as_result), errc::closed, "touch");
    const pgstate::change_options creating{.create = true};
    store.failure(store->append("a", "s", message, creating, as_result), errc::closed, "append");
    store.failure(store->merge("a", "s", pgstate::state_patch(), creating, as_result), errc::closed, "merge");
    store.failure(store->increment("a", "s", "/data/n", 1, creating, as_result), errc::closed, "increment");
    store.failure(store->list("a", as_result), errc::closed, "list");
    store.failure(store->list_agents(as_result), errc::closed, "list_agents");
    store.failure(store->find(pgstate::state_query(), as_result), errc::closed, "find");
    store.failure(store->count(as_result), errc::closed, "count");
    store.failure(store->count("a", as_result), errc::closed, "count");
    store.failure(store->count({.estimate = true}, as_result), errc::closed, "count");
    store.failure(store->health_check(as_result), errc::closed, "health_check");
    auto never = [](pgstate::transaction&) { FAIL("a transaction ran after close()"); };
    store.failure(store->transaction(never, as_result), errc::closed, "transaction");
    auto no_change = [](agent_state&) { FAIL("an update ran after close()"); };
    const pgstate::update_options updating{.create = true};
    store.failure(store->update("a", "s", no_change, updating, as_result), errc::closed, "update");
    store.failure(store->load_all(keys, as_result), errc::closed, "load_all");
    store.failure(store->erase_all(keys, as_result), errc::closed, "erase_all");
    for (const auto& one : store.wait(store->save_all(states)))
        check_closed(one, "save");
    const pgstate::save_all_options together{.atomic = true};
    store.failure(store->save_all(states, together, as_result), errc::closed, "save_all");
    if (auto* const postgres = dynamic_cast<pgstate::postgres_store*>(&*store)) {
        auto never_called = [](pqxx::connection&) { FAIL("a function got a connection after close()"); };
        store.failure(postgres->pool().with_connection(never_called, as_result), errc::closed,
                      "with_connection");
    }
}

} // namespace

TEST_CASE("after close() every operation is refused", "[contract][close]") {
    store_under_test store;
    store.wait(store->close());
    check_all_closed(store);
}

TEST_CASE("while close() waits every operation is refused", "[contract][close]") {
    store_under_test store;
    if (store.kind() == store_kind::memory) {
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
    store.context().restart();
    while (!entered)
        store.context().run_one_for(1ms);
    store->close([&](std::exception_ptr) { closed = true; });
    check_all_closed(store);
    CHECK_FALSE(closed);
    CHECK_FALSE(transaction.has_value());
    go_on = true;
    store.run_until([&] { return closed && transaction.has_value(); });
    CHECK(transaction->has_value()); // it was accepted, and ended as if nothing had been closed
}

TEST_CASE("close() waits for transactions that wait for a connection", "[contract][close]") {
    store_under_test store;
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
