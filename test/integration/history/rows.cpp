// schema.history = rows on a server: the tables, who else writes states, what is left behind, races, lost connections.

#include "integration/history/rows_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace pgstate_test::rows;
using namespace std::chrono_literals;
using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::history_window;
using pgstate::postgres_store;

TEST_CASE("the tables of histories in rows are made where they are wanted, and once", "[rows]") {
    opened_store f;
    f.wait(f.store.save(conversation(2)));
    f.settings.schema.history = pgstate::history_layout::rows;
    pqxx::connection looking(f.database);
    const auto report = postgres_store::inspect_schema(looking, f.settings);
    CHECK(report.refusals.empty());
    CHECK_FALSE(report.current());
    for (int i = 0; i < 2; ++i) {
        auto store = f.wait(postgres_store::open(f.context.get_executor(), f.settings));
        // What is in a document stays there until it is saved as a whole.
        CHECK(f.wait(store.load("a", "s")).value().history.size() == 2);
        f.wait(store.close());
    }
    CHECK(postgres_store::inspect_schema(looking, f.settings).current());
    CHECK(epoch_of(f).empty());
    run_on(f.database, postgres_store::schema_sql(f.settings)); // by hand, once more
    CHECK(postgres_store::inspect_schema(looking, f.settings).current());

    // A trigger that was disabled is missed, and made again.
    run_on(f.database, "ALTER TABLE agent_states DISABLE TRIGGER agent_states_messages_erased");
    const auto without = postgres_store::inspect_schema(looking, f.settings);
    REQUIRE(without.missing.size() == 1);
    CHECK(without.missing.front().find("agent_states_messages_erased") != std::string::npos);
}

TEST_CASE("the tables of histories in rows can be made by hand, in a schema that is not named", "[rows]") {
    const auto database = fresh_database();
    auto settings = in_rows();
    settings.connection_string = database;
    run_on(database, postgres_store::schema_sql(settings));
    settings.schema.migrate = pgstate::migrate_mode::verify;
    opened_store f({}, settings);
    f.wait(f.store.save(conversation(3)));
    f.wait(f.store.save(conversation(2)));
    CHECK(rows_of_messages(f) == 2);
    f.wait(f.store.erase("a", "s"));
    CHECK(rows_of_messages(f) == 0);
}

TEST_CASE("whoever deletes or replaces a state takes its messages along", "[rows]") {
    opened_store f({}, in_rows());
    f.wait(f.store.save(conversation(3)));
    f.wait(f.store.checkpoint("a", "s"));
    f.wait(f.store.save(conversation(2))); // the checkpoint keeps the first three
    CHECK(rows_of_messages(f) == 5);
    SECTION("erase") {
        f.wait(f.store.erase("a", "s"));
    }
    SECTION("psql") {
        run_on(f.database, "DELETE FROM agent_states");
    }
    SECTION("a transaction") {
        f.wait(f.store.transaction([](pgstate::transaction& t) { t.erase("a", "s"); }));
    }
    SECTION("the sweeper") {
        auto settings = f.settings;
        settings.sweep.period = 100ms;
        auto sweeping = f.wait(postgres_store::open(f.context.get_executor(), settings));
        run_on(f.database, "UPDATE agent_states SET expires_at = now() - interval '1 hour'");
        poll_until(f.context, [&] { return sweeping.stats().swept == 1; });
        f.wait(sweeping.close());
    }
    CHECK(rows_of_messages(f) == 0);
}

TEST_CASE("an append that waits while the state is erased finds none, or makes a new one", "[rows]") {
    opened_store f({}, in_rows());
    f.wait(f.store.save(conversation(3)));
    auto message = numbered(9);
    if (GENERATE(false, true)) message.id = "nine";
    const bool create = GENERATE(false, true);
    open_transaction erasing(f.database, "DELETE FROM agent_states");
    outcome<pgstate::saved> done;
    f.store.append("a", "s", {message}, {.create = create}, as_result(done.handler()));
    pqxx::connection observer(f.database);
    f.wait_until(observer, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    erasing.commit();
    const auto& result = done.wait(f.context);
    if (create) {
        REQUIRE(result.has_value());
        CHECK(history_of(f).size() == 1);
    } else {
        require_failure(result, errc::not_found);
    }
    CHECK(rows_of_messages(f) == (create ? 1 : 0));
}

TEST_CASE("a new life of an expired state has none of the old messages", "[rows]") {
    opened_store f({}, in_rows());
    f.wait(f.store.save(conversation(3)));
    run_on(f.database, "UPDATE agent_states SET expires_at = now() - interval '1 hour'");
    const auto how = GENERATE(0, 1, 2, 3);
    const pgstate::change_options create{.create = true};
    pgstate::state_patch patch;
    patch.data["x"] = 1;
    if (how == 0) f.wait(f.store.append("a", "s", {numbered(7)}, create));
    if (how == 1) {
        auto message = numbered(7);
        message.id = "seven";
        f.wait(f.store.append("a", "s", {message}, create));
    }
    if (how == 2) f.wait(f.store.merge("a", "s", patch, create));
    if (how == 3) f.wait(f.store.save(conversation(1)));
    CHECK(history_of(f).size() == (how == 2 ? 0 : 1));
    CHECK(rows_of_messages(f) == (how == 2 ? 0 : 1));
}

TEST_CASE("a history that somebody else writes is in the document", "[rows]") {
    opened_store f({}, in_rows());
    auto state = conversation(3);
    f.wait(f.store.save(state)).apply_to(state);
    run_on(f.database,
           "UPDATE agent_states SET state = jsonb_set(state, '{history}',"
           " '[{\"role\": \"user\", \"content\": \"by hand\", \"timestamp\": \"2026-01-01T00:00:00Z\"}]')");
    CHECK(rows_of_messages(f) == 0);
    CHECK(epoch_of(f).empty());
    REQUIRE(history_of(f).size() == 1);
    CHECK(history_of(f)[0].content == "by hand");
    // Changes find it there.
    f.wait(f.store.append("a", "s", {numbered(1)}));
    auto once = numbered(2);
    once.id = "two";
    f.wait(f.store.append("a", "s", {once}));
    CHECK_FALSE(f.wait(f.store.append("a", "s", {once})).applied);
    f.wait(f.store.append("a", "s", {numbered(3)}, {.create = true}));
    pgstate::state_patch patch;
    patch.data["x"] = 1;
    f.wait(f.store.merge("a", "s", patch));
    CHECK(history_of(f).size() == 4);
    CHECK(epoch_of(f).empty());
    auto part = f.wait(f.store.load("a", "s", {.history = history_window::last(2)})).value();
    part.history.push_back(numbered(4));
    f.wait(f.store.save(part)).apply_to(part);
    CHECK(history_of(f).size() == 5);
    // A save of all moves it back.
    auto whole = f.wait(f.store.load("a", "s")).value();
    f.wait(f.store.save(whole));
    CHECK(rows_of_messages(f) == 5);
    CHECK(history_of(f) == whole.history);
    // The part was loaded from the document, and is still a part of what there is.
    part.history.push_back(numbered(5));
    f.wait(f.store.save(part));
    CHECK(history_of(f).size() == 6);
}

TEST_CASE("a store with documents uses the histories in rows that it finds", "[rows]") {
    opened_store rows({}, in_rows());
    auto state = conversation(3);
    rows.wait(rows.store.save(state));
    pgstate::config base;
    base.connection_string = rows.database;
    opened_store f({}, base);
    CHECK(history_of(f).size() == 3);
    f.wait(f.store.append("a", "s", {numbered(3)}));
    CHECK(history_of(f).size() == 4);
    CHECK_FALSE(epoch_of(f).empty());
    auto loaded = f.wait(f.store.load("a", "s")).value();
    loaded.history.push_back(numbered(4));
    f.wait(f.store.save(loaded)).apply_to(loaded);
    CHECK_FALSE(epoch_of(f).empty()); // what is new was added
    loaded.history.erase(loaded.history.begin());
    f.wait(f.store.save(loaded)).apply_to(loaded);
    CHECK(epoch_of(f).empty()); // a new history begins in the document
    CHECK(rows_of_messages(f) == 0);
    CHECK(history_of(f) == loaded.history);
    f.wait(f.store.append("a", "new", {numbered(0)}, {.create = true}));
    CHECK(epoch_of(f, "new").empty());
    CHECK(history_of(rows, "new").size() == 1);
}

TEST_CASE("messages come in the order of their numbers, wherever they are in the table", "[rows]") {
    opened_store f({}, in_rows());
    const auto state = conversation(300);
    f.wait(f.store.save(state));
    const auto version = f.wait(f.store.checkpoint("a", "s")).version;
    run_on(f.database, "CREATE TABLE mixed AS SELECT * FROM agent_states_messages;"
                       "DELETE FROM agent_states_messages;"
                       "INSERT INTO agent_states_messages SELECT * FROM mixed ORDER BY md5(seq::text);"
                       "ANALYZE agent_states_messages");
    CHECK(history_of(f) == state.history);
    CHECK(f.wait(f.store.load("a", "s", {.at = version})).value().history == state.history);
    const auto last = f.wait(f.store.load("a", "s", {.history = history_window::last(50)})).value();
    CHECK(std::equal(last.history.begin(), last.history.end(), state.history.end() - 50));
    CHECK(f.wait(f.store.find(pgstate::state_query())).states[0].history == state.history);
    f.wait(f.store.transaction(
        [&](pgstate::transaction& t) { CHECK(t.load("a", "s")->history == state.history); }));
    f.wait(f.store.fork("a", "s", "other"));
    CHECK(history_of(f, "other") == state.history);
}

TEST_CASE("messages that are missing are noticed", "[rows]") {
    opened_store f({}, in_rows());
    f.wait(f.store.save(conversation(5)));
    run_on(f.database, "DELETE FROM agent_states_messages WHERE seq = 2");
    f.failure(f.store.load("a", "s", as_result), errc::corrupt_state);
    f.failure(f.store.load("a", "s", {.history = history_window::last(4)}, as_result), errc::corrupt_state);
    CHECK(f.wait(f.store.load("a", "s", {.history = history_window::last(2)})).value().history.size() == 2);
    f.failure(f.store.transaction([](pgstate::transaction& t) { t.load("a", "s"); }, as_result),
              errc::corrupt_state);
}

TEST_CASE("a role that may only use the tables can do everything", "[rows][roles]") {
    opened_store f({}, in_rows());
    f.wait(f.store.save(conversation(3)));
    run_on(f.database, "DROP ROLE IF EXISTS pgstate_writer");
    run_on(f.database, "CREATE ROLE pgstate_writer LOGIN");
    run_on(f.database, "GRANT SELECT, INSERT, UPDATE, DELETE ON agent_states, agent_states_messages,"
                       " agent_states_checkpoints TO pgstate_writer");
    auto settings = in_rows();
    settings.connection_string = f.database;
    settings.session_settings = {{"role", "pgstate_writer"}};
    {
        opened_store g({}, settings);
        auto state = g.wait(g.store.load("a", "s")).value();
        state.history.push_back(numbered(3));
        g.wait(g.store.save(state)).apply_to(state);
        g.wait(g.store.checkpoint("a", "s"));
        g.wait(g.store.save(conversation(1)));
        g.wait(g.store.restore("a", "s", state.version));
        CHECK(g.wait(g.store.load("a", "s")).value().history.size() == 4);
        g.wait(g.store.erase("a", "s"));
    }
    CHECK(rows_of_messages(f) == 0);
    run_on(f.database, "DROP OWNED BY pgstate_writer");
    run_on(f.database, "DROP ROLE pgstate_writer");
}

TEST_CASE("a checkpoint names messages, and copies none", "[rows][checkpoints]") {
    opened_store f({}, in_rows());
    f.wait(f.store.save(conversation(3)));
    const auto at = f.wait(f.store.checkpoint("a", "s"));
    CHECK(at.messages == 3);
    f.wait(f.store.append("a", "s", {numbered(3)}));
    CHECK(rows_of_messages(f) == 4);
    CHECK(f.wait(f.store.load("a", "s", {.at = at.version})).value().history == conversation(3).history);
    f.wait(f.store.save(conversation(1)));
    CHECK(rows_of_messages(f) == 5);
    CHECK(f.wait(f.store.load("a", "s", {.at = at.version})).value().history == conversation(3).history);
    f.wait(f.store.fork("a", "s", "other", {.at = at.version}));
    CHECK(history_of(f, "other") == conversation(3).history);
    CHECK(f.wait(f.store.prune("a", "s", {.keep = 0})) == 1);
    CHECK(rows_of_messages(f) == 4);
    CHECK(orphans(f) == 0);
}

TEST_CASE("a checkpoint and a save that replaces the history pass one another by", "[rows][checkpoints]") {
    opened_store f({}, in_rows());
    f.wait(f.store.save(conversation(3)));
    pqxx::connection other(f.database);
    // As a checkpoint does; the save waits for it.
    pqxx::work holding(other);
    holding.exec("WITH s AS (UPDATE agent_states AS t SET messages = t.messages RETURNING t.*)"
                 " INSERT INTO agent_states_checkpoints SELECT agent_id, session_id, version, '', now(),"
                 " messages, state, created_at, updated_at, epoch FROM s");
    const auto isolation =
        GENERATE(pgstate::isolation_level::read_committed, pgstate::isolation_level::repeatable_read);
    outcome<void> done;
    int runs = 0;
    f.store.transaction(
        [&runs](pgstate::transaction& t) {
            ++runs;
            t.sql().exec("SELECT 1");
            t.save(conversation(1));
        },
        {.isolation = isolation}, as_result(done.handler()));
    pqxx::connection observer(f.database);
    f.wait_until(observer, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    holding.commit();
    REQUIRE(done.wait(f.context).has_value());
    CHECK(runs == (isolation == pgstate::isolation_level::repeatable_read ? 2 : 1));
    CHECK(rows_of_messages(f) == 4);
    const auto kept = f.wait(f.store.checkpoints("a", "s"));
    REQUIRE(kept.checkpoints.size() == 1);
    CHECK(f.wait(f.store.load("a", "s", {.at = kept.checkpoints[0].version})).value().history.size() == 3);
}

TEST_CASE("many appends with and without ids arrive once", "[rows][ids]") {
    opened_store f({}, in_rows());
    f.wait(f.store.save(conversation(0)));
    std::vector<outcome<pgstate::saved>> done(200);
    for (std::size_t i = 0; i < done.size(); ++i) {
        auto message = numbered(i);
        if (i % 2 == 0) message.id = "m" + std::to_string(i % 40);
        f.store.append("a", i % 3 == 0 ? "s" : "t" + std::to_string(i % 5), {message}, {.create = true},
                       as_result(done[i].handler()));
    }
    run_until(f.context, [&] { return all_over(done); });
    std::int64_t applied = 0;
    for (const auto& each : done) {
        REQUIRE(each.value->has_value());
        applied += (*each.value)->applied ? 1 : 0;
    }
    CHECK(rows_of_messages(f) == applied);
    CHECK(number_of(f, "SELECT sum(messages)::bigint FROM agent_states") == applied);
    CHECK(number_of(f, "SELECT count(*) - count(DISTINCT (session_id, id)) FROM agent_states_messages"
                       " WHERE id IS NOT NULL") == 0);
}

TEST_CASE("two stores that append the same ids at once add each of them once", "[rows][ids]") {
    opened_store f({}, in_rows());
    f.wait(f.store.save(conversation(0)));
    pgstate::config base = in_rows();
    base.connection_string = f.database;
    opened_store g({}, base);
    for (int round = 0; round < 20; ++round) {
        std::vector<agent_message> messages;
        for (int i = 0; i < 3; ++i) {
            messages.push_back(numbered(0));
            messages.back().id = std::to_string(round) + "." + std::to_string(i);
        }
        std::vector<outcome<pgstate::saved>> done(2);
        f.store.append("a", "s", messages, as_result(done[0].handler()));
        g.store.append("a", "s", messages, as_result(done[1].handler()));
        poll_until(f.context, [&] {
            g.context.restart();
            g.context.poll();
            return all_over(done);
        });
        const auto applied = [&](std::size_t i) { return done[i].value->value().applied ? 1 : 0; };
        CHECK(applied(0) + applied(1) == 1);
    }
    CHECK(rows_of_messages(f) == 60);
}
