#include "support/states.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <optional>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {
constexpr pgstate::save_options if_unchanged{.if_unchanged = true};
} // namespace

TEST_CASE("if_unchanged at version 0 creates, and only once", "[contract]") {
    store_under_test store;
    auto state = state_with("a", "s", R"({"value": 1})");
    const auto made = store.wait(store->save(state, if_unchanged));
    CHECK(made.version > 0);

    state.data["value"] = 2;
    const auto error = store.failure(store->save(state, if_unchanged, as_result), errc::conflict, "save");
    CHECK(error.current_version() == made.version);
    const auto loaded = store.loaded("a", "s");
    CHECK(loaded.data.at("value") == 1);
    CHECK(loaded.version == made.version);
}

TEST_CASE("if_unchanged saves over the version that was loaded", "[contract]") {
    store_under_test store;
    const auto made = store.wait(store->save(agent_state("a", "s")));
    auto loaded = store.loaded("a", "s");
    loaded.data["value"] = 1;
    const auto saved = store.wait(store->save(loaded, if_unchanged));
    CHECK(saved.version > made.version);
    CHECK(saved.created_at == made.created_at);
    const auto again = store.loaded("a", "s");
    CHECK(again.version == saved.version);
    CHECK(again.data.at("value") == 1);
}

TEST_CASE("if_unchanged refuses a stale writer and changes nothing", "[contract]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    auto first = store.loaded("a", "s");
    auto second = store.loaded("a", "s");
    first.data["writer"] = "first";
    const auto won = store.wait(store->save(first, if_unchanged));
    second.data["writer"] = "second";
    const auto lost = store.failure(store->save(second, if_unchanged, as_result), errc::conflict);
    CHECK(lost.current_version() == won.version);
    const auto kept = store.loaded("a", "s");
    CHECK(kept.data.at("writer") == "first");
    CHECK(kept.version == won.version);
    CHECK(kept.updated_at == won.updated_at);

    // Who takes the version from the error, having looked, may go on.
    second.version = *lost.current_version();
    CHECK(store.wait(store->save(second, if_unchanged)).version > won.version);
}

TEST_CASE("a save of the same contents still makes a new version", "[contract]") {
    store_under_test store;
    agent_state state("a", "s");
    const auto first = store.wait(store->save(state));
    state.version = first.version;
    const auto second = store.wait(store->save(state, if_unchanged));
    CHECK(second.version > first.version);
    CHECK(store.loaded("a", "s").version == second.version);
}

TEST_CASE("if_unchanged never brings an erased state back", "[contract]") {
    store_under_test store;
    agent_state state("a", "s");
    store.wait(store->save(state));
    auto loaded = store.loaded("a", "s");
    store.wait(store->erase("a", "s"));
    CHECK(store.failure(store->save(loaded, if_unchanged, as_result), errc::conflict).current_version() == 0);
    CHECK_FALSE(store.has("a", "s"));

    // Nor over one that was made anew since.
    const auto made = store.wait(store->save(state));
    CHECK(store.failure(store->save(loaded, if_unchanged, as_result), errc::conflict).current_version() ==
          made.version);
}

TEST_CASE("a version that never was is a conflict", "[contract]") {
    store_under_test store;
    agent_state state("a", "s");
    const auto made = store.wait(store->save(state));
    for (const std::int64_t version :
         {std::int64_t{-1}, made.version - 1, made.version + 1, INT64_MAX, INT64_MIN}) {
        state.version = version;
        CHECK(store.failure(store->save(state, if_unchanged, as_result), errc::conflict).current_version() ==
              made.version);
    }
}

TEST_CASE("of many creators at once one wins", "[contract]") {
    store_under_test store;
    constexpr int creators = 100;
    std::vector<std::int64_t> seen_by_losers;
    std::optional<std::int64_t> winner;
    int winners = 0;
    int done = 0;
    for (int i = 0; i < creators; ++i) {
        agent_state state("a", "s");
        state.data["creator"] = i;
        store->save(state, if_unchanged, as_result([&](pgstate::result<pgstate::saved> result) {
                        ++done;
                        if (result) {
                            ++winners;
                            winner = result->version;
                        } else {
                            INFO(result.error().what());
                            CHECK(result.error() == errc::conflict);
                            seen_by_losers.push_back(result.error().current_version().value_or(-1));
                        }
                    }));
    }
    store.run_until([&] { return done == creators; });
    CHECK(winners == 1);
    for (const auto seen : seen_by_losers)
        CHECK(seen == winner);
    CHECK(store.loaded("a", "s").version == winner);
}

TEST_CASE("of many writers over one version one wins", "[contract]") {
    store_under_test store;
    constexpr int writers = 50;
    agent_state base("a", "s");
    base.version = store.wait(store->save(base)).version;
    int won = 0;
    int lost = 0;
    for (int i = 0; i < writers; ++i) {
        base.data["writer"] = i;
        store->save(base, if_unchanged, as_result([&](pgstate::result<pgstate::saved> result) {
                        ++(result ? won : lost);
                        if (!result) CHECK(result.error() == errc::conflict);
                    }));
    }
    store.run_until([&] { return won + lost == writers; });
    CHECK(won == 1);
}
