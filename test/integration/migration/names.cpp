#include "integration/migration/support.hpp"

#include <catch2/generators/catch_generators_range.hpp>

#include <string>
#include <vector>

using namespace pgstate;
using namespace pgstate_test;

namespace {

const std::vector<std::string> hostile_names{
    "agent_states",
    "UPPER Case",
    "select",
    "\"x\"\"; DROP TABLE bystander; --\"",
    "\"line\nfeed; DROP TABLE bystander;\"",
    "\"'; DROP TABLE bystander; --\"",
    "\"back\\slash'\\\"",
    "\"$$ $1 %s {}\"",
    "\"a.b\"",
    "t\xC3\xA4glich",
    "app.agent_states",
    "\"Sch\"\"ema.x\".\"ta'ble\"",
    std::string(63, 'n'),
    "app." + std::string(63, 'm'),
};

} // namespace

TEST_CASE("a table of any name is made, found again and written", "[migration]") {
    const auto& name = GENERATE(Catch::Generators::from_range(hostile_names));
    INFO(name);
    migration_fixture db;
    db.exec("CREATE TABLE bystander (); CREATE SCHEMA app; CREATE SCHEMA \"Sch\"\"ema.x\"");
    const auto config = db.resolved({.jsonb_index = true}, name);
    const auto quoted = config.table.quoted();

    SECTION("by migrate") {
        db.migrate({.jsonb_index = true}, name);
        CHECK_NOTHROW(db.exec(schema::schema_sql(config)));
    }
    SECTION("by hand, twice") {
        db.exec(schema::schema_sql(config));
        const auto indexes = db.number("SELECT count(*) FROM pg_index");
        db.exec(schema::schema_sql(config));
        CHECK(db.number("SELECT count(*) FROM pg_index") == indexes);
    }
    const auto before = db.snapshot();
    db.verify({.jsonb_index = true}, name);
    db.migrate({.jsonb_index = true}, name);
    CHECK(db.snapshot() == before);

    db.exec("INSERT INTO " + quoted + " (agent_id, session_id, state) VALUES ('a', 's', '{}')");
    CHECK(db.number("SELECT version FROM " + quoted) > 0);
    CHECK(db.number("SELECT count(*) FROM bystander") == 0);
    const auto namespace_of = config.table.schema.empty() ? "public" : config.table.schema;
    auto look = db.connect();
    CHECK(pqxx::nontransaction(look)
              .exec("SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = " +
                    look.quote(config.table.name) + " AND nspname = " + look.quote(namespace_of))
              .size() == 1);
}

TEST_CASE("two tables with names of 63 bytes have indexes of their own", "[migration]") {
    migration_fixture db;
    const std::string stem(62, 'x');
    for (const std::string& name : {stem + "a", stem + "b"}) {
        db.migrate({.jsonb_index = true}, name);
        CHECK(db.number("SELECT count(*) FROM pg_index WHERE NOT indisprimary AND indrelid = '" + name +
                        "'::regclass") == 3);
        CHECK_NOTHROW(db.verify({.jsonb_index = true}, name));
    }
}

TEST_CASE("an unqualified name is the table that the search_path finds", "[migration]") {
    migration_fixture db;
    db.exec(go_schema);
    db.exec("CREATE SCHEMA first; SET search_path = first, public");
    db.migrate();
    CHECK(db.yes("SELECT to_regclass('first.agent_states') IS NULL"));
    CHECK(db.number("SELECT count(*) FROM pg_attribute WHERE attrelid = 'public.agent_states'::regclass"
                    " AND attname = 'version'") == 1);
    CHECK_NOTHROW(db.verify({}, "public.agent_states"));

    db.exec("CREATE TABLE first.agent_states ()");
    CHECK(db.migrate_failure() == errc::schema_mismatch);
    CHECK_NOTHROW(db.verify({}, "public.agent_states"));
    db.migrate({}, "second"); // made where CREATE TABLE would
    CHECK_NOTHROW(db.verify({}, "first.second"));
}

TEST_CASE("one table in several schemas, each with its own indexes", "[migration]") {
    migration_fixture db;
    db.exec("CREATE SCHEMA a; CREATE SCHEMA b");
    for (const char* name : {"agent_states", "a.agent_states", "b.agent_states"})
        db.migrate({}, name);
    CHECK(db.number("SELECT count(*) FROM pg_class WHERE relname = 'idx_agent_states_agent_id'") == 3);
    for (const char* name : {"agent_states", "a.agent_states", "b.agent_states"})
        CHECK_NOTHROW(db.verify({}, name));
}

TEST_CASE("schema_sql takes over a table that the Go SDK made", "[migration]") {
    migration_fixture db;
    db.exec(go_schema);
    db.exec("INSERT INTO agent_states VALUES ('a', 's', '{}')");
    db.exec("SET standard_conforming_strings = off");
    db.exec(schema::schema_sql(db.resolved()));
    CHECK(db.text("SELECT col_description('agent_states'::regclass, 6)") == "pgstate migration 4");
    CHECK(db.number("SELECT count(*) FROM agent_states WHERE version > 0") == 1);
    CHECK_NOTHROW(db.verify());
}
