// Versions grow also where a state is erased and made again while other writers wait for its row.

#include "integration/store_support.hpp"
#include "sql/text.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;

constexpr std::int64_t no_version = -1;
constexpr std::int64_t made_within = pgstate::sql::sql_text::made_within.count();

agent_state state_with_text(std::size_t bytes = 100'000) {
    auto state = numbered_state(1);
    std::string text;
    for (std::size_t i = 0; text.size() < bytes; ++i)
        text += std::to_string(i * 7919);
    state.context["text"] = text;
    return state;
}

/// A state whose row another client holds, and will save and erase: whoever writes it meanwhile began before that.
struct doomed_state {
    explicit doomed_state(pgstate::config base = {}, const std::string& parameters = "&pool_max_conns=2")
        : f(parameters, std::move(base)) {
        run(f.context, [this]() -> asio::awaitable<void> {
            const auto state = numbered_state(0);
            co_await f.store.save(state);
        });
        other.emplace(holder);
        other->exec("UPDATE agent_states SET updated_at = updated_at");
    }

    /// Saved and erased by the other client, as soon as somebody waits for it. Gives the version that it ended with.
    std::int64_t save_and_erase() {
        run(f.context, [this]() -> asio::awaitable<void> {
            co_await until(f.context, observer, somebody_waits_for_a_lock);
        });
        const auto last = other
                              ->exec("UPDATE agent_states SET version = greatest(version + 1,"
                                     " (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
                                     " WHERE session_id = 's' RETURNING version")[0][0]
                              .as<std::int64_t>();
        // As a store's erase does, which takes no version along that is as young as this.
        other->exec("SELECT pg_sleep(" + std::to_string(static_cast<double>(made_within + 1000) / 1e6) + ")");
        other->exec("DELETE FROM agent_states WHERE session_id = 's'");
        other->commit();
        return last;
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

    opened_store f;
    pqxx::connection observer{f.database};
    pqxx::connection holder{f.database};
    std::optional<pqxx::work> other;
};

} // namespace

TEST_CASE("a state made again by a save that waited while it was erased has a greater version",
          "[versions]") {
    doomed_state was;
    outcome<pgstate::saved> done;
    pgstate::save_options options;
    if (GENERATE(false, true)) options.ttl = 1h;
    was.f.store.save(numbered_state(1), options, as_result(done.handler()));
    const auto last = was.save_and_erase();
    CHECK(was.version_of(done) > last);
}

TEST_CASE("so has one that was to be made", "[versions]") {
    doomed_state was;
    outcome<pgstate::saved> done;
    was.f.store.save(numbered_state(1), {.if_unchanged = true}, as_result(done.handler()));
    const auto last = was.save_and_erase();
    CHECK(was.version_of(done) > last);
}

TEST_CASE("so has one that a change makes", "[versions]") {
    doomed_state was;
    outcome<pgstate::saved> done;
    pgstate::change_options options;
    options.create = true;
    SECTION("append") {
        const std::vector<pgstate::agent_message> messages(1);
        was.f.store.append("a", "s", messages, options, as_result(done.handler()));
        const auto last = was.save_and_erase();
        CHECK(was.version_of(done) > last);
    }
    SECTION("increment") {
        was.f.store.increment("a", "s", "/data/value", 5, options, as_result(done.handler()));
        const auto last = was.save_and_erase();
        CHECK(was.version_of(done) > last);
        const auto loaded = run(was.f.context, [&]() -> asio::awaitable<std::optional<agent_state>> {
            co_return co_await was.f.store.load("a", "s");
        });
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("value").as_int64() == 5);
    }
}

TEST_CASE("so has one that is saved together with others, whose saves succeed as well", "[versions]") {
    doomed_state was({}, "&pool_max_conns=1");
    std::vector<outcome<pgstate::saved>> done(3);
    was.f.store.save(numbered_state(1, "r"), as_result(done[0].handler()));
    was.f.store.save(numbered_state(1, "s"), as_result(done[1].handler()));
    was.f.store.save(numbered_state(1, "t"), as_result(done[2].handler()));
    const auto last = was.save_and_erase();
    CHECK(was.version_of(done[1]) > last);
    CHECK(was.version_of(done[0]) > 0);
    CHECK(was.version_of(done[2]) > 0);
}

TEST_CASE("so has one that is saved in a transaction", "[versions]") {
    doomed_state was;
    outcome<pgstate::saved> done;
    pgstate::saved in_it;
    int over = 0;
    std::exception_ptr failure;
    was.f.store.transaction([&](pgstate::transaction& tx) { in_it = tx.save(numbered_state(1)); },
                            [&](std::exception_ptr why) {
                                failure = std::move(why);
                                ++over;
                            });
    const auto last = was.save_and_erase();
    run_until(was.f.context, [&] { return over == 1; });
    CHECK_FALSE(failure);
    CHECK(in_it.version > last);
}

TEST_CASE("a large document, which takes long to be stored, is made with the same promise", "[versions]") {
    doomed_state was;
    outcome<pgstate::saved> done;
    was.f.store.save(state_with_text(4'000'000), as_result(done.handler()));
    const auto last = was.save_and_erase();
    CHECK(was.version_of(done) > last);
}

TEST_CASE("an erase is over only when no save that began before the state's last can make it again",
          "[versions]") {
    opened_store f;
    pqxx::connection observer(f.database);
    const auto clock = [&] {
        return pqxx::nontransaction(observer)
            .exec("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")[0][0]
            .as<std::int64_t>();
    };
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(0);
        auto saved = co_await f.store.save(state);
        co_await f.store.erase("a", "s");
        CHECK(clock() > saved.version + made_within);
        saved = co_await f.store.save(state);
        pgstate::erase_options options;
        options.if_version = saved.version;
        co_await f.store.erase("a", "s", options);
        CHECK(clock() > saved.version + made_within);
        saved = co_await f.store.save(state);
        co_await f.store.transaction([](pgstate::transaction& tx) { tx.erase("a", "s"); });
        CHECK(clock() > saved.version + made_within);
    });
}

TEST_CASE("the sweeper leaves what was written just now", "[versions]") {
    auto settings = pgstate::config();
    settings.sweep.period = 100ms;
    opened_store f({}, settings);
    pqxx::connection sql(f.database);
    // Its version is ahead of the clock, as if it had been written a moment ago all the time.
    pqxx::nontransaction(sql).exec(
        "INSERT INTO agent_states (agent_id, session_id, state, expires_at, version) SELECT 'a', 's' || i, '{}', "
        "now() - interval '1 s', (extract(epoch FROM now() + i * interval '1 h') * 1000000)::bigint FROM "
        "generate_series(-1, 1) i");
    run(f.context, [&]() -> asio::awaitable<void> {
        co_await until(f.context, sql, "SELECT count(*) = 1 FROM agent_states");
    });
    CHECK(pqxx::nontransaction(sql).exec("SELECT session_id FROM agent_states")[0][0].as<std::string>() ==
          "s1");
}

TEST_CASE("a table whose constraints are against an empty document has large ones saved all the same",
          "[versions]") {
    opened_store f;
    pqxx::connection sql(f.database);
    pqxx::nontransaction(sql).exec(
        "ALTER TABLE agent_states ADD CHECK (state -> 'data' -> 'value' IS NOT NULL)");
    const auto state = state_with_text();
    run(f.context, [&]() -> asio::awaitable<void> {
        auto saved = co_await f.store.save(state);
        CHECK(saved.version > 0);
        co_await f.store.erase("a", "s");
        co_await f.store.transaction([&](pgstate::transaction& tx) { saved = tx.save(state); });
        const auto loaded = co_await f.store.load("a", "s");
        CHECK(loaded->version == saved.version);
        CHECK(loaded->context == state.context);
    });
}

TEST_CASE("statements that are gone are prepared again, also where three make one exchange", "[versions]") {
    pgstate::config settings;
    settings.session_settings = {{"app.tenant_id", "acme"}};
    opened_store f("&pool_max_conns=1", std::move(settings));
    const auto state = state_with_text();
    run(f.context, [&]() -> asio::awaitable<void> {
        auto before = co_await f.store.save(state);
        for (const auto* const gone : {"DEALLOCATE ALL", "DISCARD ALL"}) {
            co_await f.store.pool().with_connection(
                [gone](pqxx::connection& c) { pqxx::nontransaction(c).exec(gone); });
            // Each of the three is found missing once, one save after the other.
            for (int i = 0; i < 3; ++i) {
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

TEST_CASE("what Citus would refuse is not sent where there is Citus", "[versions]") {
    const auto database = fresh_database();
    pqxx::connection sql(database);
    pqxx::nontransaction(sql).exec("CREATE TABLE pg_dist_partition ()"); // is all of it that there is here
    opened_store f({}, config_for(database));
    // Citus: "non-IMMUTABLE functions are not allowed in the RETURNING clause".
    pqxx::nontransaction(sql).exec(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF current_query() ~ 'RETURNING.*(clock_timestamp|pg_sleep)' THEN RAISE 'refused' USING ERRCODE = '0A000';"
        " END IF; RETURN NULL; END $$;"
        " CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON agent_states FOR EACH STATEMENT"
        " EXECUTE FUNCTION refuse()");
    const auto state = numbered_state(1);
    const auto large = state_with_text();
    const std::vector<pgstate::agent_message> messages(1);
    pgstate::change_options create;
    create.create = true;
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto saved = co_await f.store.save(state);
        pgstate::erase_options options;
        options.if_version = saved.version;
        co_await f.store.erase("a", "s", options);
        co_await f.store.save(large);
        co_await f.store.erase("a", "s");
        co_await f.store.append("a", "s", messages, create);
        co_await f.store.transaction([&](pgstate::transaction& tx) {
            tx.erase("a", "s");
            tx.save(large);
        });
        const auto loaded = co_await f.store.load("a", "s");
        CHECK(loaded->context == large.context);
    });
}
