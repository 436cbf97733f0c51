#include "migration_support.hpp"

#include <catch2/generators/catch_generators_range.hpp>

#include <string>
#include <vector>

using namespace pgstate;
using namespace pgstate_test;

namespace {

struct other_shape {
    std::string ddl;
    std::string expected;
};

std::string table(const std::string& columns,
                  const std::string& rest = "PRIMARY KEY (agent_id, session_id)") {
    return "CREATE TABLE agent_states (" + columns + ", " + rest + ")";
}

const std::string ids = "agent_id TEXT, session_id TEXT";
const std::string times = "created_at TIMESTAMPTZ DEFAULT NOW(), updated_at TIMESTAMPTZ DEFAULT NOW()";
const std::string state_column = "state JSONB NOT NULL";

const std::vector<other_shape> other_shapes{
    {table(ids + ", state TEXT NOT NULL, " + times), "column \"state\" is text, not jsonb"},
    {table(ids + ", state JSON NOT NULL, " + times), "column \"state\" is json, not jsonb"},
    {table(ids + ", state JSONB, " + times), "column \"state\" allows NULL"},
    {table(ids + ", " + times), "column \"state\" is missing"},
    {table(ids + ", \"State\" JSONB, " + times), "column \"state\" is missing"},
    {table(ids + ", " + state_column + ", created_at TIMESTAMPTZ"), "column \"updated_at\" is missing"},
    {table(ids + ", " + state_column + ", created_at TIMESTAMP, updated_at TIMESTAMPTZ"),
     "column \"created_at\" is timestamp without time zone, not timestamp with time zone"},
    {table(ids + ", " + state_column + ", created_at TIMESTAMPTZ(0), updated_at TIMESTAMPTZ"),
     "column \"created_at\" is timestamp(0) with time zone, not timestamp with time zone"},
    {table("agent_id VARCHAR(64), session_id TEXT, " + state_column + ", " + times),
     "column \"agent_id\" is character varying(64), not text"},
    {table("agent_id TEXT, session_id UUID, " + state_column + ", " + times),
     "column \"session_id\" is uuid, not text"},
    {"CREATE DOMAIN key AS TEXT; " + table("agent_id key, session_id TEXT, " + state_column + ", " + times),
     "column \"agent_id\" is key, not text"},
    {table(ids + ", " + state_column + ", " + times, "PRIMARY KEY (agent_id)"),
     "primary key is (agent_id), not (agent_id, session_id)"},
    {table(ids + ", " + state_column + ", " + times, "PRIMARY KEY (session_id, agent_id)"),
     "primary key is (session_id, agent_id), not (agent_id, session_id)"},
    {table(ids + ", " + state_column + ", " + times, "PRIMARY KEY (agent_id, session_id) DEFERRABLE"),
     "primary key is deferrable"},
    {table("agent_id TEXT NOT NULL, session_id TEXT NOT NULL, " + state_column + ", " + times,
           "UNIQUE (agent_id, session_id)"),
     "there is no primary key; it must be (agent_id, session_id)"},
    {table(ids + ", " + state_column + ", " + times + ", tenant INT NOT NULL"),
     "column \"tenant\" is NOT NULL without a default"},
    {"CREATE DOMAIN given AS INT NOT NULL; " +
         table(ids + ", " + state_column + ", " + times + ", tenant given"),
     "column \"tenant\" is NOT NULL without a default"},
    {table(ids + ", " + state_column + ", " + times + ", version INT NOT NULL DEFAULT 1"),
     "column \"version\" is integer, not bigint"},
    {table(ids + ", " + state_column + ", " + times + ", version BIGINT DEFAULT 1"),
     "column \"version\" allows NULL"},
    {table(ids + ", " + state_column + ", " + times + ", version BIGINT NOT NULL"),
     "column \"version\" has no default"},
    {table(ids + ", " + state_column + ", " + times + ", version BIGINT GENERATED ALWAYS AS IDENTITY"),
     "column \"version\" is a generated column"},
    {table(ids + ", doc JSONB, state JSONB NOT NULL GENERATED ALWAYS AS (doc || '{}') STORED, " + times),
     "column \"state\" is a generated column"},
    {"CREATE VIEW agent_states AS SELECT 'a'::text AS agent_id", "it is a view, not a table"},
    {"CREATE MATERIALIZED VIEW agent_states AS SELECT 1 AS a", "it is a materialized view, not a table"},
    {"CREATE SEQUENCE agent_states", "it is a sequence, not a table"},
    {"CREATE TYPE agent_states AS (a INT)", "it is not a table"},
    {"CREATE TABLE t (a INT); CREATE INDEX agent_states ON t (a)", "it is an index, not a table"},
    {"CREATE TEMPORARY " + table(ids + ", " + state_column + ", " + times).substr(7),
     "it is a temporary table"},
    {"CREATE TABLE old (agent_id TEXT); CREATE INDEX idx_agent_states_agent_id ON old (agent_id)",
     "the name \"idx_agent_states_agent_id\" is taken"},
    {go_schema +
         "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_agent_states_updated_at'::regclass",
     "the name \"idx_agent_states_updated_at\" is taken by something else than a complete index on (updated_at)"},
};

} // namespace

TEST_CASE("a table of another shape is refused by name, and nothing is changed", "[migration]") {
    const auto& other = GENERATE(Catch::Generators::from_range(other_shapes));
    INFO(other.ddl);
    migration_fixture db;
    db.exec(other.ddl);
    const auto before = db.snapshot();
    for (const auto mode : {migrate_mode::apply, migrate_mode::verify}) {
        const auto failure = db.migrate_failure({.migrate = mode});
        CHECK(failure == errc::schema_mismatch);
        mentions(failure, other.expected);
        mentions(failure, "Nothing was changed");
        CHECK(db.snapshot() == before);
    }
}

TEST_CASE("a key whose collation merges different texts is refused", "[migration]") {
    migration_fixture db;
    db.exec("CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);" +
            table("agent_id TEXT COLLATE loose, session_id TEXT, " + state_column + ", " + times));
    mentions(db.migrate_failure(), "column \"agent_id\" has a nondeterministic collation");
}

TEST_CASE("verify says what is missing and changes nothing", "[migration]") {
    migration_fixture db;
    auto before = db.snapshot();
    auto failure = db.verify_failure();
    CHECK(failure == errc::schema_mismatch);
    mentions(failure, "table \"public\".\"agent_states\" is not up to date: it does not exist");
    mentions(failure, "migrate = apply");
    mentions(failure, "schema_sql");
    CHECK(db.snapshot() == before);

    db.exec(go_schema);
    before = db.snapshot();
    failure = db.verify_failure();
    CHECK(failure == errc::schema_mismatch);
    mentions(failure, "column \"version\" is missing");
    CHECK(db.snapshot() == before);

    db.migrate();
    CHECK_NOTHROW(db.verify());
}

TEST_CASE("a table that is renamed away leaves index names behind, which is said", "[migration]") {
    migration_fixture db;
    db.migrate();
    db.exec("ALTER TABLE agent_states RENAME TO old_states");
    const auto before = db.snapshot();
    mentions(db.migrate_failure(), "the name \"idx_agent_states_agent_id\" is taken");
    CHECK(db.snapshot() == before);
    CHECK_NOTHROW(db.migrate({}, "old_states")); // whose indexes serve under any name
}

TEST_CASE("a missing schema is named", "[migration]") {
    migration_fixture db;
    for (const auto mode : {migrate_mode::apply, migrate_mode::verify}) {
        const auto failure = db.migrate_failure({.migrate = mode}, "app.agent_states");
        CHECK(failure.sqlstate() == "3F000");
        mentions(failure, "schema \"app\" does not exist; create it first (CREATE SCHEMA \"app\")");
    }
    db.exec("SET search_path = nowhere");
    const auto failure = db.migrate_failure();
    CHECK(failure.sqlstate() == "3F000");
    mentions(failure, "search_path");
}

TEST_CASE("a migration that fails half way leaves nothing", "[migration]") {
    migration_fixture db;
    db.exec("CREATE FUNCTION no_index() RETURNS event_trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION 'no indexes here' USING DETAIL = 'secret'; END$$;"
            "CREATE EVENT TRIGGER no_index ON ddl_command_start WHEN TAG IN ('CREATE INDEX')"
            " EXECUTE FUNCTION no_index();");
    auto before = db.snapshot();
    auto failure = db.migrate_failure();
    CHECK(failure.sqlstate() == "P0001");
    CHECK(std::string(failure.what()) == "open: no indexes here (SQLSTATE P0001)");
    CHECK(db.snapshot() == before);

    db.exec(table(ids + ", " + state_column + ", " + times));
    before = db.snapshot();
    CHECK(db.migrate_failure().sqlstate() == "P0001");
    CHECK(db.snapshot() == before);
    db.exec("DROP EVENT TRIGGER no_index");
    CHECK_NOTHROW(db.migrate());
}

TEST_CASE("a busy table is waited for as long as lock_timeout says", "[migration]") {
    migration_fixture db;
    db.exec(go_schema);
    auto other = db.connect();
    pqxx::work reader(other);
    reader.exec("SELECT count(*) FROM agent_states");
    db.exec("SET lock_timeout = '200ms'");
    const auto failure = db.migrate_failure();
    CHECK(failure.sqlstate() == "55P03");
    mentions(failure, "the table is in use by a long transaction");
    reader.abort();
    CHECK_NOTHROW(db.migrate());
    CHECK(db.text("SHOW lock_timeout") == "200ms"); // what a migration sets ends with it
}

TEST_CASE("a migration waits for another of the same table, also for one by hand, and for no other",
          "[migration]") {
    migration_fixture db;
    auto other = db.connect();
    pqxx::work holder(other);
    holder.exec("SELECT pg_advisory_xact_lock(hashtextextended('" +
                schema::migration_lock_name("public", "agent_states") + "', 0))");
    db.exec("SET lock_timeout = '200ms'");
    CHECK(db.migrate_failure().sqlstate() == "55P03");
    CHECK(db.migrate_failure({}, "public.agent_states").sqlstate() == "55P03");
    for (const char* name : {"agent_states", "public.agent_states"}) {
        auto by_hand = db.connect();
        pqxx::nontransaction sql(by_hand);
        sql.exec("SET lock_timeout = '200ms'");
        CHECK_THROWS_AS(sql.exec(schema::schema_sql(db.resolved({}, name))), pqxx::sql_error);
    }
    CHECK_NOTHROW(db.migrate({}, "other_states"));
    holder.abort();
    CHECK_NOTHROW(db.migrate());
}

TEST_CASE("a read-only session that should migrate is told to go to the primary", "[migration]") {
    migration_fixture db;
    db.exec("SET default_transaction_read_only = on");
    const auto failure = db.migrate_failure();
    CHECK(failure == sqlstate::read_only_sql_transaction);
    mentions(failure, "open once on the primary");
}

TEST_CASE("a lost connection is unavailable", "[migration]") {
    migration_fixture db;
    auto victim = db.connect();
    db.exec("SELECT pg_terminate_backend(" + std::to_string(victim.backendpid()) + ", 5000)");
    try {
        schema::migrate(victim, db.resolved());
        FAIL("the connection should have been lost");
    } catch (const error& failure) {
        CHECK((failure == errc::unavailable || failure == sqlstate::admin_shutdown));
    }
}
