#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

TEST_CASE("a closed store refuses every operation", "[contract]") {
    store_under_test store;
    const agent_state state("a", "s");
    store.wait(store->save(state));
    store.wait(store->close());

    store.failure(store->save(state, as_result), errc::closed, "save");
    store.failure(store->load("a", "s", as_result), errc::closed, "load");
    store.failure(store->erase("a", "s", as_result), errc::closed, "erase");
    store.failure(store->list("a", as_result), errc::closed, "list");
    store.failure(store->count(as_result), errc::closed, "count");
    store.failure(store->health_check(as_result), errc::closed, "health_check");
    const auto never = [](pgstate::transaction&) { FAIL("called"); };
    store.failure(store->transaction(never, as_result), errc::closed, "transaction");
}

TEST_CASE("closing twice is no error", "[contract]") {
    store_under_test store;
    successes closed;
    store->close(closed.handler());
    store->close(closed.handler());
    store.run_until([&] { return closed.count == 2; });
    store.wait(store->close());
}

TEST_CASE("close lets what was accepted finish", "[contract]") {
    store_under_test store;
    constexpr int count = 100;
    successes saves;
    successes transactions;
    successes closed;
    for (int i = 0; i < count; ++i)
        store->save(agent_state("a", std::to_string(i)), saves.handler());
    for (int i = 0; i < 3; ++i)
        store->transaction([i](pgstate::transaction& tx) { tx.save(agent_state("t", std::to_string(i))); },
                           transactions.handler());
    store->close(closed.handler());
    store.run_until([&] { return closed.count == 1 && saves.count == count && transactions.count == 3; });
}
