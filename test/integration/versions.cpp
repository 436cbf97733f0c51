// Versions: each is used once in a table, and they grow while a state lives.

#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

constexpr std::int64_t no_version = -1;

/// What the Go SDK sends.
std::string go_save(const std::string& session, const std::string& state) {
    return "INSERT INTO agent_states (agent_id, session_id, state, created_at, updated_at) VALUES ('a', '" +
           session + "', '" + state +
           "', NOW(), NOW()) ON CONFLICT (agent_id, session_id)"
           " DO UPDATE SET state = EXCLUDED.state, updated_at = NOW()";
}

std::int64_t number_of(pqxx::connection& sql, const std::string& query) {
    return pqxx::nontransaction(sql).exec(query)[0][0].as<std::int64_t>();
}

/// A state whose row another client holds, and will save and erase: whoever writes it meanwhile has begun before that.
struct doomed_state {
    doomed_state() : f("&pool_max_conns=2") {
        run(f.context, [this]() -> asio::awaitable<void> {
            const auto state = numbered_state(0);
            const auto saved = co_await f.store.save(state);
            used.insert(saved.version);
        });
        other.emplace(holder);
        other->exec("UPDATE agent_states SET updated_at = updated_at");
    }

    /// Saved and erased by the other client, as soon as somebody waits for it.
    void save_and_erase() {
        run(f.context, [this]() -> asio::awaitable<void> {
            co_await until(f.context, observer, somebody_waits_for_a_lock);
        });
        for (int i = 0; i < 3; ++i)
            used.insert(other
                            ->exec("UPDATE agent_states SET version = DEFAULT WHERE session_id = 's'"
                                   " RETURNING version")[0][0]
                            .as<std::int64_t>());
        other->exec("DELETE FROM agent_states WHERE session_id = 's'");
        other->commit();
    }

    /// Of the one who waited.
    std::int64_t version_of(outcome<pgstate::saved>& done) {
        run_until(f.context, [&] { return done.over(); });
        if (!done.value->has_value()) {
            UNSCOPED_INFO(done.value->error().what());
            return no_version;
        }
        return done.value->value().version;
    }

    /// What was made is new to the table, grows, and is none that somebody knew before.
    void check_new_life(std::int64_t version) {
        CHECK(version > 0);
        CHECK(used.insert(version).second);
        run(f.context, [&]() -> asio::awaitable<void> {
            auto stale = numbered_state(2);
            for (const auto known : used) {
                if (known == version) continue;
                stale.version = known;
                const auto refused = co_await f.store.save(stale, {.if_unchanged = true}, as_result);
                REQUIRE(refused.has_error());
                CHECK(refused.error() == errc::conflict);
                CHECK(refused.error().current_version() == version);
            }
            stale.version = version;
            const auto next = co_await f.store.save(stale, {.if_unchanged = true});
            CHECK(next.version > *used.rbegin());
        });
    }

    opened_store f;
    std::set<std::int64_t> used;
    pqxx::connection observer{f.database};
    pqxx::connection holder{f.database};
    std::optional<pqxx::work> other;
};

} // namespace

TEST_CASE("whatever writes a state gives it a greater version, but a touch", "[versions]") {
    opened_store f;
    run(f.context, [&]() -> asio::awaitable<void> {
        auto state = numbered_state(0);
        std::int64_t last = 0;
        const auto grown = [&](const pgstate::saved& saved) {
            CHECK(saved.version > last);
            last = saved.version;
        };
        const std::vector<pgstate::agent_message> messages(1);
        pgstate::state_patch patch;
        patch.context["merged"] = true;
        pgstate::change_options create;
        create.create = true;
        grown(co_await f.store.save(state));
        grown(co_await f.store.save(state, {.ttl = 1h}));
        state.version = last;
        grown(co_await f.store.save(state, {.if_unchanged = true}));
        grown(co_await f.store.append("a", "s", messages));
        grown(co_await f.store.append("a", "s", messages, create));
        grown(co_await f.store.merge("a", "s", patch));
        grown(co_await f.store.merge("a", "s", patch, create));
        grown(co_await f.store.increment("a", "s", "/data/value", 5));
        grown(co_await f.store.increment("a", "s", "/data/value", 0.5, create));
        pgstate::saved within;
        co_await f.store.transaction([&](pgstate::transaction& tx) {
            within = tx.save(state);
            CHECK(within.version > last);
            last = within.version;
            within = tx.save(state);
        });
        grown(within);
        const auto touched = co_await f.store.touch("a", "s", 1h);
        CHECK(touched.version == last);
        const auto loaded = co_await f.store.load("a", "s");
        CHECK(loaded->version == last);
    });
}

TEST_CASE("a state that is erased and made again has a version that was never used", "[versions]") {
    opened_store f;
    run(f.context, [&]() -> asio::awaitable<void> {
        std::set<std::int64_t> used;
        const auto state = numbered_state(0);
        auto early = state;
        const std::vector<pgstate::agent_message> messages(1);
        pgstate::change_options create;
        create.create = true;
        for (int i = 0; i < 10; ++i) {
            auto saved = co_await f.store.save(state);
            CHECK(used.insert(saved.version).second);
            pgstate::erase_options options;
            if (i % 2 == 0) options.if_version = saved.version;
            co_await f.store.erase("a", "s", options);
            saved = co_await f.store.append("a", "s", messages, create);
            CHECK(used.insert(saved.version).second);
            co_await f.store.transaction([](pgstate::transaction& tx) { tx.erase("a", "s"); });
            saved = co_await f.store.save(state, {.if_unchanged = true});
            CHECK(used.insert(saved.version).second);
            early.version = *used.begin();
            const auto refused = co_await f.store.save(early, {.if_unchanged = true}, as_result);
            CHECK((refused.has_error() && refused.error() == errc::conflict));
        }
    });
}

TEST_CASE("an expired state that is saved again has a new version", "[versions]") {
    opened_store f;
    pqxx::connection sql(f.database);
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(0);
        const auto before = co_await f.store.save(state, {.ttl = 1ms});
        co_await until(f.context, sql, "SELECT expires_at < now() FROM agent_states");
        const auto after = co_await f.store.save(state, {.if_unchanged = true});
        CHECK(after.version > before.version);
    });
}

TEST_CASE("a state made again by a save that waited while it was erased has a version of its own",
          "[versions]") {
    doomed_state was;
    outcome<pgstate::saved> done;
    pgstate::save_options options;
    if (GENERATE(false, true)) options.ttl = 1h;
    was.f.store.save(numbered_state(1), options, as_result(done.handler()));
    was.save_and_erase();
    was.check_new_life(was.version_of(done));
}

TEST_CASE("so has one that was to be made", "[versions]") {
    doomed_state was;
    outcome<pgstate::saved> done;
    was.f.store.save(numbered_state(1), {.if_unchanged = true}, as_result(done.handler()));
    was.save_and_erase();
    was.check_new_life(was.version_of(done));
}

TEST_CASE("so has one that a change makes", "[versions]") {
    doomed_state was;
    outcome<pgstate::saved> done;
    pgstate::change_options options;
    options.create = true;
    if (GENERATE(false, true)) {
        const std::vector<pgstate::agent_message> messages(1);
        was.f.store.append("a", "s", messages, options, as_result(done.handler()));
    } else {
        was.f.store.increment("a", "s", "/data/value", 5, options, as_result(done.handler()));
    }
    was.save_and_erase();
    was.check_new_life(was.version_of(done));
}

TEST_CASE("so has one that is saved in a transaction", "[versions]") {
    doomed_state was;
    pgstate::saved in_it;
    int over = 0;
    std::exception_ptr failure;
    was.f.store.transaction([&](pgstate::transaction& tx) { in_it = tx.save(numbered_state(1)); },
                            [&](std::exception_ptr why) {
                                failure = std::move(why);
                                ++over;
                            });
    was.save_and_erase();
    run_until(was.f.context, [&] { return over == 1; });
    CHECK_FALSE(failure);
    was.check_new_life(in_it.version);
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
    int over = 0;
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
            [&](const std::exception_ptr& failure) {
                CHECK_FALSE(failure);
                ++over;
            });
    while (over < stores)
        for (const auto& each : all) {
            each->context.restart();
            each->context.run_for(1ms);
        }
    CHECK(used.size() == acknowledged);
    CHECK(acknowledged > stores * rounds / 2);
}

TEST_CASE("what the Go SDK makes has a version too, which its later saves leave as it is", "[versions]") {
    opened_store f;
    pqxx::connection sql(f.database);
    pqxx::nontransaction(sql).exec(go_save("s", R"({"data": {"by": "go"}})"));
    run(f.context, [&]() -> asio::awaitable<void> {
        auto loaded = co_await f.store.load("a", "s");
        REQUIRE(loaded.has_value());
        const auto first = loaded->version;
        CHECK(first > 0);
        pqxx::nontransaction(sql).exec(go_save("s", R"({"data": {"by": "go again"}})"));
        loaded = co_await f.store.load("a", "s");
        CHECK(loaded->version == first);
        CHECK(loaded->data.at("by") == "go again");
        const auto saved = co_await f.store.save(*loaded, {.if_unchanged = true});
        CHECK(saved.version > first);
        co_await f.store.erase("a", "s");
        pqxx::nontransaction(sql).exec(go_save("s", "{}"));
        loaded = co_await f.store.load("a", "s");
        CHECK(loaded->version > saved.version);
    });
}

TEST_CASE("a state with the greatest version is saved and erased like any other", "[versions]") {
    opened_store f;
    pqxx::connection sql(f.database);
    const auto put = [&] {
        pqxx::nontransaction(sql).exec(
            "INSERT INTO agent_states (agent_id, session_id, state, version)"
            " VALUES ('a', 's', '{}', 9223372036854775807) ON CONFLICT (agent_id, session_id)"
            " DO UPDATE SET version = EXCLUDED.version");
    };
    run(f.context, [&]() -> asio::awaitable<void> {
        put();
        auto loaded = co_await f.store.load("a", "s");
        REQUIRE(loaded.has_value());
        const auto saved = co_await f.store.save(*loaded, {.if_unchanged = true});
        CHECK(saved.version > 0);
        CHECK(saved.version < 1000);
        put();
        pgstate::erase_options options;
        options.if_version = loaded->version;
        const bool erased = co_await f.store.erase("a", "s", options);
        CHECK(erased);
    });
    CHECK(number_of(sql, "SELECT count(*) FROM agent_states") == 0);
}

TEST_CASE("statements that are gone are prepared again, also where two make one exchange", "[versions]") {
    pgstate::config settings;
    settings.session_settings = {{"app.tenant_id", "acme"}};
    opened_store f("&pool_max_conns=1", std::move(settings));
    const auto state = numbered_state(1);
    run(f.context, [&]() -> asio::awaitable<void> {
        auto before = co_await f.store.save(state);
        for (const auto* const gone : {"DEALLOCATE ALL", "DISCARD ALL"}) {
            co_await f.store.pool().with_connection(
                [gone](pqxx::connection& c) { pqxx::nontransaction(c).exec(gone); });
            // Each of the two is found missing once, one save after the other.
            for (int i = 0; i < 2; ++i) {
                const auto saved = co_await f.store.save(state);
                CHECK(saved.version > before.version);
                before = saved;
            }
            const auto found = f.store.stats().retries;
            co_await f.store.save(state);
            CHECK(f.store.stats().retries == found);
        }
        CHECK(f.store.stats().retries > 0);
    });
}
