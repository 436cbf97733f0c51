// Versions: each is used once in a table, and they grow while a state lives.

#include "integration/store_support.hpp"
#include "support/go_sdk.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::as_result;
using pgstate::errc;

/// A state whose row another client holds, and will save and erase: whoever writes it meanwhile has begun before that.
struct doomed_state {
    doomed_state() { other.emplace(f.database, "UPDATE agent_states SET updated_at = updated_at"); }

    /// Saved and erased by the other client, as soon as somebody waits for it.
    void save_and_erase() {
        f.wait_until(observer, somebody_waits_for_a_lock);
        pqxx::work& sql = **other;
        for (int i = 0; i < 3; ++i)
            used.insert(sql.exec("UPDATE agent_states SET version = DEFAULT WHERE session_id = 's'"
                                 " RETURNING version")[0][0]
                            .as<std::int64_t>());
        sql.exec("DELETE FROM agent_states WHERE session_id = 's'");
        other->commit();
    }

    /// What was made is new to the table, grows, and is none that somebody knew before.
    void check_new_life(std::int64_t version) {
        CHECK(version > 0);
        CHECK(used.insert(version).second);
        auto stale = numbered_state(2);
        for (const auto known : used) {
            if (known == version) continue;
            stale.version = known;
            const auto refused =
                f.failure(f.store.save(stale, {.if_unchanged = true}, as_result), errc::conflict);
            CHECK(refused.current_version() == version);
        }
        stale.version = version;
        CHECK(f.wait(f.store.save(stale, {.if_unchanged = true})).version > *used.rbegin());
    }

    opened_store f{"&pool_max_conns=2"};
    std::set<std::int64_t> used{f.wait(f.store.save(numbered_state(0))).version};
    pqxx::connection observer{f.database};
    std::optional<open_transaction> other;
};

} // namespace

TEST_CASE("whatever writes a state gives it a greater version, but a touch", "[versions]") {
    opened_store f;
    auto state = numbered_state(0);
    std::int64_t last = 0;
    const auto grown = [&](const pgstate::saved& saved) {
        CHECK(saved.version > last);
        last = saved.version;
    };
    const std::vector<pgstate::agent_message> messages(1);
    pgstate::state_patch patch;
    patch.context["merged"] = true;
    constexpr pgstate::change_options create{.create = true};
    grown(f.wait(f.store.save(state)));
    grown(f.wait(f.store.save(state, {.ttl = 1h})));
    state.version = last;
    grown(f.wait(f.store.save(state, {.if_unchanged = true})));
    grown(f.wait(f.store.append("a", "s", messages)));
    grown(f.wait(f.store.append("a", "s", messages, create)));
    grown(f.wait(f.store.merge("a", "s", patch)));
    grown(f.wait(f.store.merge("a", "s", patch, create)));
    grown(f.wait(f.store.increment("a", "s", "/data/value", 5)));
    grown(f.wait(f.store.increment("a", "s", "/data/value", 0.5, create)));
    pgstate::saved within;
    f.wait(f.store.transaction([&](pgstate::transaction& tx) {
        within = tx.save(state);
        CHECK(within.version > last);
        last = within.version;
        within = tx.save(state);
    }));
    grown(within);
    CHECK(f.wait(f.store.touch("a", "s", 1h)).version == last);
    CHECK(f.wait(f.store.load("a", "s"))->version == last);
}

TEST_CASE("a state that is erased and made again has a version that was never used", "[versions]") {
    opened_store f;
    std::set<std::int64_t> used;
    const auto state = numbered_state(0);
    auto early = state;
    const std::vector<pgstate::agent_message> messages(1);
    for (int i = 0; i < 10; ++i) {
        auto saved = f.wait(f.store.save(state));
        CHECK(used.insert(saved.version).second);
        pgstate::erase_options options;
        if (i % 2 == 0) options.if_version = saved.version;
        f.wait(f.store.erase("a", "s", options));
        saved = f.wait(f.store.append("a", "s", messages, {.create = true}));
        CHECK(used.insert(saved.version).second);
        f.wait(f.store.transaction([](pgstate::transaction& tx) { tx.erase("a", "s"); }));
        saved = f.wait(f.store.save(state, {.if_unchanged = true}));
        CHECK(used.insert(saved.version).second);
        early.version = *used.begin();
        f.failure(f.store.save(early, {.if_unchanged = true}, as_result), errc::conflict);
    }
}

TEST_CASE("a state made again by a write that waited while it was erased has a version of its own",
          "[versions]") {
    doomed_state was;
    outcome<pgstate::saved> done;
    auto handler = as_result(done.handler());
    SECTION("a save") {
        was.f.store.save(numbered_state(1), handler);
    }
    SECTION("a save with a ttl") {
        was.f.store.save(numbered_state(1), {.ttl = 1h}, handler);
    }
    SECTION("a save that was to make it") {
        was.f.store.save(numbered_state(1), {.if_unchanged = true}, handler);
    }
    SECTION("an append") {
        const std::vector<pgstate::agent_message> messages(1);
        was.f.store.append("a", "s", messages, {.create = true}, handler);
    }
    SECTION("an increment") {
        was.f.store.increment("a", "s", "/data/value", 5, {.create = true}, handler);
    }
    SECTION("a save in a transaction") {
        was.f.store.transaction([](pgstate::transaction& tx) { return tx.save(numbered_state(1)); }, handler);
    }
    was.save_and_erase();
    REQUIRE(done.wait(was.f.context).has_value());
    was.check_new_life(done.value->value().version);
}

TEST_CASE("several stores that save and erase the same states never use a version twice", "[versions]") {
    constexpr int stores = 4;
    constexpr int rounds = 150;
    const auto database = fresh_database();
    std::vector<std::unique_ptr<opened_store>> all;
    for (int i = 0; i < stores; ++i)
        all.push_back(std::make_unique<opened_store>("&pool_max_conns=2", config_for(database)));
    std::set<std::int64_t> used;
    std::size_t acknowledged = 0;
    successes over;
    for (int i = 0; i < stores; ++i)
        asio::co_spawn(
            all[static_cast<std::size_t>(i)]->context,
            [&, i]() -> asio::awaitable<void> {
                auto& store = all[static_cast<std::size_t>(i)]->store;
                std::int64_t last = 0;
                for (int round = 0; round < rounds; ++round) {
                    const auto session = "s" + std::to_string(round % 2);
                    auto state = numbered_state(round, session);
                    if (round % 3 == i % 3) co_await store.erase("a", session);
                    state.version = round % 5 == 0 ? 0 : last;
                    const auto saved =
                        co_await store.save(state, {.if_unchanged = round % 5 == 0}, as_result);
                    if (saved.has_error() && saved.error() == errc::conflict) continue;
                    // Drawn later, so that it is greater, whichever state it is of.
                    CHECK(saved.value().version > last);
                    last = saved.value().version;
                    used.insert(last);
                    ++acknowledged;
                }
            },
            over.handler());
    while (over.count < stores)
        for (const auto& each : all) {
            each->context.restart();
            each->context.run_for(1ms);
        }
    CHECK(used.size() == acknowledged);
    CHECK(acknowledged > stores * rounds / 2);
}

TEST_CASE("what the Go SDK makes has a version too, which its later saves leave as it is", "[versions]") {
    opened_store f;
    run_on(f.database, go_save("a", "s", R"({"data": {"by": "go"}})"));
    auto loaded = f.wait(f.store.load("a", "s"));
    REQUIRE(loaded.has_value());
    const auto first = loaded->version;
    CHECK(first > 0);
    run_on(f.database, go_save("a", "s", R"({"data": {"by": "go again"}})"));
    loaded = f.wait(f.store.load("a", "s"));
    CHECK(loaded->version == first);
    CHECK(loaded->data.at("by") == "go again");
    const auto saved = f.wait(f.store.save(*loaded, {.if_unchanged = true}));
    CHECK(saved.version > first);
    f.wait(f.store.erase("a", "s"));
    run_on(f.database, go_save("a", "s", "{}"));
    CHECK(f.wait(f.store.load("a", "s"))->version > saved.version);
}

TEST_CASE("a state with the greatest version is saved and erased like any other", "[versions]") {
    opened_store f;
    const auto put = "INSERT INTO agent_states (agent_id, session_id, state, version)"
                     " VALUES ('a', 's', '{}', 9223372036854775807) ON CONFLICT (agent_id, session_id)"
                     " DO UPDATE SET version = EXCLUDED.version";
    run_on(f.database, put);
    auto loaded = f.wait(f.store.load("a", "s"));
    REQUIRE(loaded.has_value());
    const auto saved = f.wait(f.store.save(*loaded, {.if_unchanged = true}));
    CHECK(saved.version > 0);
    CHECK(saved.version < 1000);
    run_on(f.database, put);
    CHECK(f.wait(f.store.erase("a", "s", {.if_version = loaded->version})));
    CHECK(f.on_pool("SELECT count(*) FROM agent_states")[0][0].as<int>() == 0);
}

TEST_CASE("statements that are gone are prepared again, also where two make one exchange", "[versions]") {
    pgstate::config settings;
    if (GENERATE(false, true)) settings.session_settings = {{"app.tenant_id", "acme"}};
    opened_store f("&pool_max_conns=1", std::move(settings));
    const auto state = numbered_state(1);
    auto before = f.wait(f.store.save(state));
    for (const auto* const gone : {"DEALLOCATE ALL", "DISCARD ALL"}) {
        f.on_pool(gone);
        // Each of the two is found missing once, one save after the other.
        for (int i = 0; i < 2; ++i) {
            const auto saved = f.wait(f.store.save(state));
            CHECK(saved.version > before.version);
            before = saved;
        }
        const auto found = f.store.stats().retries;
        f.wait(f.store.save(state));
        CHECK(f.store.stats().retries == found);
    }
    CHECK(f.store.stats().retries > 0);
}
