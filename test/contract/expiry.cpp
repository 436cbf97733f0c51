#include "support/states.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

constexpr pgstate::save_options for_an_hour{.ttl = 1h};
constexpr pgstate::save_options only_if_unchanged{.if_unchanged = true};

} // namespace

TEST_CASE("a save with a ttl says when the state expires, and so does a load", "[contract][expiry]") {
    store_under_test store;
    agent_state state("a", "s");
    const auto saved = store.wait(store->save(state, for_an_hour));
    CHECK(saved.expires_at == saved.updated_at + 1h);
    auto loaded = store.loaded("a", "s");
    CHECK(loaded.expires_at == saved.expires_at);

    // A conditional one as well.
    const pgstate::save_options longer{.if_unchanged = true, .ttl = 2h};
    const auto again = store.wait(store->save(loaded, longer));
    CHECK(again.expires_at == again.updated_at + 2h);

    // A new state that is saved over it ends the expiry.
    CHECK(store.wait(store->save(state)).expires_at == std::nullopt);
    CHECK(store.loaded("a", "s").expires_at == std::nullopt);
}

TEST_CASE("a state that was loaded keeps its expiry, unless the save has a ttl", "[contract][expiry]") {
    const auto default_ttl = GENERATE(0h, 3h); // of states that are made
    store_under_test store(any_kind(), default_ttl);
    const auto made = store.wait(store->save(agent_state("a", "s"), for_an_hour));
    const auto keeps = [&](const pgstate::saved& saved, const std::optional<pgstate::timestamp>& expiry) {
        CHECK(saved.expires_at == expiry);
        CHECK(store.loaded("a", "s").expires_at == expiry);
    };
    for (const bool if_unchanged : {false, true}) {
        CAPTURE(if_unchanged);
        auto state = store.loaded("a", "s");
        state.expires_at.reset(); // what the state says of it does not matter
        keeps(store.wait(store->save(state, {.if_unchanged = if_unchanged})), made.expires_at);
        auto within = store.loaded("a", "s");
        store.wait(store->transaction(
            [&](pgstate::transaction& tx) { tx.save(within, {.if_unchanged = if_unchanged}); }));
        keeps(store.wait(store->update("a", "s", [](agent_state& each) { each.data["n"] = 1; })),
              made.expires_at);
        for (const bool atomic : {false, true}) {
            const std::vector<agent_state> states{store.loaded("a", "s")};
            keeps(store.wait(store->save_all(states, {.atomic = atomic, .if_unchanged = if_unchanged}))
                      .front()
                      .value(),
                  made.expires_at);
        }
    }
    // A touch after the load counts, and so does one that ends the expiry.
    auto state = store.loaded("a", "s");
    const auto touched = store.wait(store->touch("a", "s", 2h));
    keeps(store.wait(store->save(state)), touched.expires_at);
    state = store.loaded("a", "s");
    store.wait(store->touch("a", "s", std::nullopt));
    keeps(store.wait(store->save(state, only_if_unchanged)), std::nullopt);
    // Told otherwise.
    for (const bool if_unchanged : {false, true}) {
        state = store.loaded("a", "s");
        const auto told = store.wait(store->save(state, {.if_unchanged = if_unchanged, .ttl = 5h}));
        keeps(told, told.updated_at + 5h);
    }
    // It has expired: nothing of it is left to keep.
    state = store.loaded("a", "s");
    store.let_pass(6h);
    const auto anew = store.wait(store->save(state));
    keeps(anew, default_ttl == 0h ? std::nullopt : std::optional(anew.updated_at + default_ttl));
}

TEST_CASE("saves that keep expiries and saves that make states go together", "[contract][expiry]") {
    store_under_test store;
    constexpr int states = 40;
    std::vector<std::optional<pgstate::timestamp>> wanted;
    for (int i = 0; i < states; ++i) {
        pgstate::save_options options;
        if (i % 2 != 0) options.ttl = std::chrono::hours(i);
        wanted.push_back(store.wait(store->save(agent_state("a", std::to_string(i)), options)).expires_at);
    }
    int done = 0;
    for (int i = 0; i < states; ++i) {
        auto state = store.loaded("a", std::to_string(i));
        pgstate::save_options options{.if_unchanged = i % 3 == 0};
        if (i % 5 == 0) options.ttl = 100h;
        store->save(state, options,
                    [&, i, told = options.ttl](std::exception_ptr failure, pgstate::saved saved) {
                        ++done;
                        CHECK_FALSE(failure);
                        CHECK(saved.expires_at == (told ? std::optional(saved.updated_at + *told)
                                                        : wanted[static_cast<std::size_t>(i)]));
                    });
    }
    store.run_until([&] { return done == states; });
}

TEST_CASE("saves with and without a ttl may go together", "[contract][expiry]") {
    store_under_test store;
    constexpr int states = 60;
    int done = 0;
    for (int i = 0; i < states; ++i) {
        pgstate::save_options options;
        if (i % 3 != 0) options.ttl = std::chrono::hours(i);
        store->save(agent_state("a", std::to_string(i)), options,
                    [&, ttl = options.ttl](std::exception_ptr failure, pgstate::saved saved) {
                        ++done;
                        CHECK_FALSE(failure);
                        CHECK(saved.expires_at ==
                              (ttl ? std::optional(saved.updated_at + *ttl) : std::nullopt));
                    });
    }
    store.run_until([&] { return done == states; });
    for (int i = 0; i < states; ++i)
        CHECK(store.loaded("a", std::to_string(i)).expires_at.has_value() == (i % 3 != 0));
}

TEST_CASE("a state that has expired is gone for everything at once", "[contract][expiry]") {
    store_under_test store;
    agent_state state("a", "s");
    const auto old = store.wait(store->save(state, for_an_hour));
    store.wait(store->save(agent_state("a", "other")));
    store.let_pass(2h);

    const auto page = store.wait(store->list("a"));
    REQUIRE(page.size() == 1);
    CHECK(page.sessions.front().session_id == "other");
    CHECK(store.wait(store->count("a")) == 1);
    CHECK(store.wait(store->count()) == 1);
    CHECK_FALSE(store.wait(store->erase("a", "s")));
    store.failure(store->touch("a", "s", 1h, as_result), errc::not_found, "touch");
    state.version = old.version;
    CHECK(store.failure(store->save(state, only_if_unchanged, as_result), errc::conflict).current_version() ==
          0);
    store.failure(store->append("a", "s", {}, as_result), errc::not_found);
}

TEST_CASE("a state that has expired may be made anew, and a stale writer notices", "[contract][expiry]") {
    store_under_test store;
    auto state = state_with("a", "s", R"({"value": "old"})");
    const auto old = store.wait(store->save(state, for_an_hour));
    store.let_pass(2h);

    const auto fresh = state_with("a", "s", R"({"value": "new"})");
    const auto made = store.wait(store->save(fresh, only_if_unchanged));
    CHECK(made.version > old.version);
    CHECK(made.created_at > old.created_at);
    CHECK(store.failure(store->save(fresh, only_if_unchanged, as_result), errc::conflict).current_version() ==
          made.version);
    state.version = old.version;
    CHECK(store.failure(store->save(state, only_if_unchanged, as_result), errc::conflict).current_version() ==
          made.version);
    const auto loaded = store.loaded("a", "s");
    CHECK(loaded.data.at("value") == "new");
    CHECK(loaded.created_at == made.created_at);
    CHECK(loaded.expires_at == std::nullopt);

    // A save that asks nothing makes it anew as well: nothing of the old one is left.
    store.wait(store->touch("a", "s", 1h));
    store.let_pass(2h);
    const auto blind = store.wait(store->save(fresh, for_an_hour));
    CHECK(blind.created_at > made.created_at);
    CHECK(blind.expires_at == blind.updated_at + 1h);
}

TEST_CASE("of many creators over an expired state one wins", "[contract][expiry]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s"), for_an_hour));
    store.let_pass(2h);
    constexpr int creators = 50;
    int won = 0;
    int lost = 0;
    for (int i = 0; i < creators; ++i)
        store->save(agent_state("a", "s"), only_if_unchanged,
                    as_result([&](pgstate::result<pgstate::saved> result) {
                        ++(result ? won : lost);
                        if (!result) CHECK(result.error() == errc::conflict);
                    }));
    store.run_until([&] { return won + lost == creators; });
    CHECK(won == 1);
}

TEST_CASE("touch changes the expiry and nothing else", "[contract][expiry]") {
    store_under_test store;
    const auto state = state_with("a", "s", R"({"value": 1})");
    const auto saved = store.wait(store->save(state));
    const auto touched = store.wait(store->touch("a", "s", 1h));
    CHECK(touched.version == saved.version);
    CHECK(touched.created_at == saved.created_at);
    CHECK(touched.updated_at == saved.updated_at);
    REQUIRE(touched.expires_at.has_value());
    CHECK(*touched.expires_at >= saved.updated_at + 1h);
    CHECK(*touched.expires_at < saved.updated_at + 2h);
    auto loaded = store.loaded("a", "s");
    CHECK(loaded.data == state.data);
    CHECK(loaded.expires_at == touched.expires_at);

    // What was loaded before it may still be saved.
    loaded.data["value"] = 2;
    store.wait(store->save(loaded, only_if_unchanged));
    store.wait(store->touch("a", "s", 1h));
    CHECK(store.wait(store->touch("a", "s", std::nullopt)).expires_at == std::nullopt);

    store.failure(store->touch("a", "missing", 1h, as_result), errc::not_found, "touch");
}

TEST_CASE("a ttl that cannot be is refused", "[contract][expiry]") {
    store_under_test store;
    agent_state state("a", "s");
    store.wait(store->save(state));
    for (const auto ttl : {0ms, -1ms, std::chrono::milliseconds(pgstate::max_ttl + 1ms),
                           std::chrono::milliseconds::max(), std::chrono::milliseconds::min()}) {
        CAPTURE(ttl.count());
        const pgstate::save_options save{.ttl = ttl};
        store.refuses(store->save(state, save, as_result), "save", "ttl is");
        store.refuses(store->touch("a", "s", ttl, as_result), "touch");
        const pgstate::change_options change{.ttl = ttl};
        store.refuses(store->append("a", "s", {}, change, as_result), "append");
    }
    const pgstate::save_options longest{.ttl = pgstate::max_ttl};
    const auto saved = store.wait(store->save(state, longest));
    CHECK(saved.expires_at == saved.updated_at + pgstate::max_ttl);
}

TEST_CASE("update and save_all take a ttl", "[contract][expiry][update][bulk]") {
    store_under_test store;
    const auto set = [](agent_state& state) { state.data["value"] = 1; };
    const auto updated = store.wait(store->update("a", "s", set, {.create = true, .ttl = 1h}));
    CHECK(updated.expires_at == updated.updated_at + 1h);
    CHECK(store.wait(store->update("a", "s", set)).expires_at == updated.expires_at);
    const pgstate::update_options at_once{.create = true, .ttl = 0ms};
    store.refuses(store->update("a", "s", set, at_once, as_result), "update");

    const std::vector<agent_state> states{agent_state("a", "1"), agent_state("a", "2")};
    for (const bool atomic : {false, true}) {
        CAPTURE(atomic);
        const auto saved = store.wait(store->save_all(states, {.atomic = atomic, .ttl = 2h}));
        REQUIRE(saved.size() == 2);
        for (const auto& each : saved) {
            REQUIRE(each.has_value());
            CHECK(each->expires_at == each->updated_at + 2h);
        }
        const pgstate::save_all_options past{.atomic = atomic, .ttl = -1ms};
        store.refuses(store->save_all(states, past, as_result), "save_all");
    }
}

TEST_CASE("the default ttl is for what is saved or made without one", "[contract][expiry]") {
    store_under_test store(any_kind(), 3h);
    const auto saved = store.wait(store->save(agent_state("a", "saved")));
    CHECK(saved.expires_at == saved.updated_at + 3h);
    const auto own = store.wait(store->save(agent_state("a", "own"), for_an_hour));
    CHECK(own.expires_at == own.updated_at + 1h);
    constexpr pgstate::change_options may_create{.create = true};
    const auto made = store.wait(store->increment("a", "made", "/data/n", 1, may_create));
    CHECK(made.expires_at == made.updated_at + 3h);
    const auto kept = store.wait(store->increment("a", "own", "/data/n", 1, may_create));
    CHECK(kept.expires_at == own.expires_at);
    store.wait(store->transaction([](pgstate::transaction& tx) {
        const auto within = tx.save(agent_state("a", "within"));
        CHECK(within.expires_at == within.updated_at + 3h);
    }));
    store.let_pass(2h);
    CHECK(store.wait(store->count("a")) == 3);
    store.let_pass(2h);
    CHECK(store.wait(store->count("a")) == 0);
}

TEST_CASE("in a transaction states expire as they do outside", "[contract][expiry]") {
    store_under_test store;
    const agent_state state("a", "s");
    pgstate::saved first;
    store.wait(store->transaction([&](pgstate::transaction& tx) {
        first = tx.save(state, for_an_hour);
        CHECK(first.expires_at == first.updated_at + 1h);
        const auto loaded = tx.load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->expires_at == first.expires_at);
        CHECK_THROWS_AS(tx.save(state, {.ttl = 0ms}), pgstate::error);
    }));
    store.let_pass(2h);
    store.wait(store->transaction([&](pgstate::transaction& tx) {
        CHECK_FALSE(tx.load("a", "s").has_value());
        CHECK_FALSE(tx.erase("a", "s"));
        agent_state stale = state;
        stale.version = first.version;
        CHECK_THROWS_AS(tx.save(stale, only_if_unchanged), pgstate::error);
        const auto made = tx.save(state, only_if_unchanged);
        CHECK(made.version > first.version);
        CHECK(made.expires_at == std::nullopt);
    }));
    CHECK(store.has("a", "s"));
}
