#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace pgstate_test;
using pgstate::agent_state;

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
