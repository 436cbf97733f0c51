// schema.guard: a row that a writer other than pgstate changes gets a new version.

#include "integration/store_support.hpp"
#include "support/go_sdk.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <string>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::as_result;
using pgstate::errc;

namespace {

pgstate::config guarded() {
    pgstate::config settings;
    settings.schema.guard = true;
    return settings;
}

/// The save of the Go SDK (Forge AI SDK), which does not know the column `version`.
constexpr auto sdk_save =
    "INSERT INTO agent_states (agent_id, session_id, state, created_at, updated_at)"
    " VALUES ('a', 's', '{\"agent_id\": \"a\", \"session_id\": \"s\", \"data\": {\"value\": 7}}', NOW(), NOW())"
    " ON CONFLICT (agent_id, session_id) DO UPDATE SET state = EXCLUDED.state, updated_at = EXCLUDED.updated_at";

pgstate::agent_state save_and_load(opened_store& f) {
    f.wait(f.store.save(numbered_state(1)));
    return f.wait(f.store.load("a", "s")).value();
}

} // namespace

TEST_CASE("a save of the Go SDK between load and if_unchanged is a conflict", "[guard]") {
    opened_store f({}, guarded());
    auto loaded = save_and_load(f);
    run_on(f.database, sdk_save);
    const auto stale = f.failure(f.store.save(loaded, {.if_unchanged = true}, as_result), errc::conflict);
    auto current = f.wait(f.store.load("a", "s"));
    CHECK(current->data.at("value").as_int64() == 7);
    CHECK(current->version > loaded.version);
    CHECK(current->version == stale.current_version());
    CHECK(f.wait(f.store.save(*current, {.if_unchanged = true}, as_result)).has_value());
}

TEST_CASE("without the guard the version does not tell of a foreign save", "[guard]") {
    opened_store f;
    const auto loaded = save_and_load(f);
    run_on(f.database, sdk_save);
    CHECK(f.wait(f.store.load("a", "s"))->version == loaded.version);
}

TEST_CASE("the guard leaves alone what pgstate writes, and what changes no state", "[guard]") {
    opened_store f({}, guarded());
    auto loaded = save_and_load(f);
    CHECK(f.wait(f.store.touch("a", "s", 1h)).version == loaded.version);
    run_on(f.database, "UPDATE agent_states SET updated_at = now()");
    const auto saved = f.wait(f.store.save(loaded, {.if_unchanged = true}));
    CHECK(saved.version > loaded.version);
    const auto appended = f.wait(f.store.append("a", "s", {{"user", "hi"}}));
    CHECK(appended.version > saved.version);
    run_on(f.database, "UPDATE agent_states SET version = version + 1000"); // its own affair
    CHECK(f.wait(f.store.load("a", "s"))->version == appended.version + 1000);
}

TEST_CASE("the guard works for a role that has no rights on the sequence", "[guard]") {
    opened_store f({}, guarded());
    const auto loaded = save_and_load(f);
    const auto role = pqxx::connection(f.database).dbname() + std::string("_go");
    run_on(f.database, "CREATE ROLE \"" + role + "\"; GRANT SELECT, INSERT, UPDATE ON agent_states TO \"" +
                           role + "\"; SET ROLE \"" + role + "\"; " + sdk_save);
    CHECK(f.wait(f.store.load("a", "s"))->version > loaded.version);
    run_on(f.database, "DROP OWNED BY \"" + role + "\"; DROP ROLE \"" + role + "\"");
}

TEST_CASE("a guard that is missing or disabled is found, and brought back", "[guard]") {
    opened_store f({}, guarded());
    const std::string damage = GENERATE("DROP TRIGGER agent_states_guard ON agent_states",
                                        "ALTER TABLE agent_states DISABLE TRIGGER agent_states_guard");
    run_on(f.database, damage);
    pqxx::connection looking(f.database);
    const auto report = pgstate::postgres_store::inspect_schema(looking, f.settings);
    REQUIRE(report.missing.size() == 1);
    CHECK(report.missing.front() == "trigger \"agent_states_guard\" is missing or disabled");
    auto again = f.wait(pgstate::postgres_store::open(f.context.get_executor(), f.settings));
    f.wait(again.close());
    CHECK(pgstate::postgres_store::inspect_schema(looking, f.settings).current());
}

TEST_CASE("the guard protects a partitioned table", "[guard]") {
    const auto database = fresh_database();
    run_on(database, partitioned_schema);
    auto settings = guarded();
    settings.connection_string = database;
    opened_store f({}, settings);
    const auto loaded = save_and_load(f);
    run_on(f.database, sdk_save);
    CHECK(f.wait(f.store.load("a", "s"))->version > loaded.version);
}
