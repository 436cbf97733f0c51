#include "integration/migration/support.hpp"
#include "pgstate/postgres_store.hpp"

#include <string>
#include <vector>

using namespace pgstate;
using namespace pgstate_test;

namespace {

std::vector<std::string> index_names(migration_fixture& db, const std::string& table) {
    std::vector<std::string> names;
    for (const auto& row : db.exec("SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
                                   " WHERE NOT i.indisprimary AND i.indrelid = '" +
                                   table + "'::regclass ORDER BY 1"))
        names.push_back(row[0].as<std::string>());
    return names;
}

} // namespace

TEST_CASE("an empty database gets the Go SDK's table plus pgstate's columns", "[migration]") {
    migration_fixture db;
    db.migrate();
    CHECK(index_names(db, "agent_states") ==
          std::vector<std::string>{"idx_agent_states_agent_id", "idx_agent_states_updated_at"});
    CHECK(
        db.text(
            "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull::text,"
            " ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'agent_states'::regclass"
            " AND attnum > 0") ==
        "agent_id text true, session_id text true, state jsonb true, created_at timestamp with time zone false, "
        "updated_at timestamp with time zone false, version bigint true, "
        "expires_at timestamp with time zone false, write_name uuid false, write_version bigint false");
    CHECK(db.text("SELECT col_description('agent_states'::regclass, 6)") == "pgstate migration 4");
    CHECK(
        db.number(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'") ==
        1);
    CHECK_NOTHROW(db.verify());
}

TEST_CASE("a second migration writes nothing, takes no lock and needs no writable session", "[migration]") {
    migration_fixture db;
    db.migrate({.jsonb_index = true});
    const auto before = db.snapshot();

    // Whoever asked for a lock on the table, or for the migrations' own, would run into the time-out.
    auto other = db.connect();
    pqxx::work holder(other);
    holder.exec("LOCK TABLE agent_states IN ACCESS EXCLUSIVE MODE");
    holder.exec("SELECT pg_advisory_xact_lock(hashtextextended('" +
                schema::migration_lock_name("public", "agent_states") + "', 0))");
    db.exec("SET lock_timeout = '100ms'");
    db.exec("SET default_transaction_read_only = on");
    CHECK_NOTHROW(db.migrate({.jsonb_index = true}));
    CHECK_NOTHROW(db.verify({.jsonb_index = true}));
    holder.abort();
    CHECK(db.snapshot() == before);
}

TEST_CASE("a table that the Go SDK made is taken over with its rows", "[migration]") {
    migration_fixture db;
    db.exec(go_schema);
    db.exec("INSERT INTO agent_states (agent_id, session_id, state, created_at, updated_at)"
            " SELECT 'agent', 'session-' || i, jsonb_build_object('i', i), NOW(), NOW()"
            " FROM generate_series(1, 1000) i");
    const auto file = db.text("SELECT pg_relation_filenode('agent_states')");
    const auto rows = "SELECT md5(string_agg(agent_id || session_id || state || created_at || updated_at, ','"
                      " ORDER BY session_id)) FROM agent_states";
    const auto before = db.text(rows);
    db.migrate();

    CHECK(db.text(rows) == before);
    CHECK(db.number("SELECT count(*) FROM agent_states") == 1000);
    CHECK(db.yes("SELECT min(version) = 1 AND max(version) = 1 FROM agent_states"));
    CHECK(db.text("SELECT pg_relation_filenode('agent_states')") == file); // not rewritten
    CHECK(index_names(db, "agent_states").size() == 2);

    SECTION("and the Go SDK goes on working") {
        CHECK_NOTHROW(db.exec(go_schema));
        db.exec(go_save("agent", "session-1", R"({"by": "go"})"));
        db.exec(go_save("agent", "new", R"({"by": "go"})"));
        CHECK(db.number("SELECT count(*) FROM agent_states") == 1001);
        CHECK(db.text("SELECT state->>'by' FROM agent_states WHERE session_id = 'session-1'") == "go");
        CHECK(db.number("SELECT version FROM agent_states WHERE session_id = 'session-1'") ==
              1); // it knows none
        CHECK(db.number("SELECT version FROM agent_states WHERE session_id = 'new'") > 1);
        CHECK_NOTHROW(db.verify());
    }
}

TEST_CASE("versions are drawn from a sequence of the table's own", "[migration]") {
    migration_fixture db;
    db.migrate();
    db.exec(go_save("agent", "s", "{}"));
    const auto first = db.number("SELECT version FROM agent_states");
    const auto second = db.number("UPDATE agent_states SET version = DEFAULT RETURNING version");
    CHECK(second > first);
    // It is 64 bits wide, ends with the table, and leaves no number in a cache.
    CHECK(db.yes("SELECT seqtypid = 'bigint'::regtype AND seqcache = 1 AND NOT seqcycle FROM pg_sequence"
                 " WHERE seqrelid = pg_get_serial_sequence('agent_states', 'version')::regclass"));
    db.exec("DROP TABLE agent_states");
    CHECK(db.number("SELECT count(*) FROM pg_sequence") == 0);
}

TEST_CASE("missing indexes are added under their Go names", "[migration]") {
    migration_fixture db;
    db.migrate({.indexes = index_mode::lean});
    CHECK(index_names(db, "agent_states").empty());
    CHECK(db.text("SELECT array_to_string(reloptions, ',') FROM pg_class WHERE relname = 'agent_states'") ==
          "fillfactor=70");
    CHECK_NOTHROW(db.verify({.indexes = index_mode::lean}));

    mentions(db.verify_failure(), "index \"idx_agent_states_agent_id\" on (agent_id) is missing");
    db.migrate();
    CHECK(index_names(db, "agent_states").size() == 2);
    db.verify();

    mentions(db.verify_failure({.jsonb_index = true}),
             "index \"idx_agent_states_state\" on (state) is missing");
    db.migrate({.jsonb_index = true});
    CHECK(db.text("SELECT pg_get_indexdef('idx_agent_states_state'::regclass)") ==
          "CREATE INDEX idx_agent_states_state ON public.agent_states USING gin (state jsonb_path_ops)");
    db.verify({.jsonb_index = true});
}

TEST_CASE("lean leaves the indexes that are there", "[migration]") {
    migration_fixture db;
    db.exec(go_schema);
    db.migrate({.indexes = index_mode::lean});
    CHECK(index_names(db, "agent_states").size() == 2);
    CHECK_NOTHROW(db.verify({.indexes = index_mode::lean}));
}

TEST_CASE("off does not look", "[migration]") {
    migration_fixture db;
    db.exec("CREATE VIEW agent_states AS SELECT 1");
    const auto before = db.snapshot();
    CHECK_NOTHROW(db.migrate({.migrate = migrate_mode::off}));
    CHECK(db.snapshot() == before);
}

TEST_CASE("a table partitioned by agent is taken over", "[migration]") {
    migration_fixture db;
    db.exec(partitioned_schema);
    db.migrate();
    CHECK_NOTHROW(db.verify());
    db.exec(go_save("agent", "s", "{}"));
    db.exec("INSERT INTO agent_states (agent_id, session_id, state) SELECT 'agent-' || i, 's', '{}'"
            " FROM generate_series(1, 20) i");
    db.exec("UPDATE agent_states SET version = DEFAULT WHERE session_id = 's'");
    CHECK(db.yes(
        "SELECT count(DISTINCT tableoid) = 2 AND count(DISTINCT version) = count(*) FROM agent_states"));
}

TEST_CASE("a partitioned table with rows is taken over, and gets more partitions later", "[migration]") {
    migration_fixture db;
    db.exec("CREATE TABLE agent_states (" + go_columns +
            ") PARTITION BY LIST (agent_id);"
            "CREATE TABLE part_a PARTITION OF agent_states FOR VALUES IN ('agent');");
    db.exec(go_save("agent", "before", "{}"));
    db.migrate();
    CHECK(db.number("SELECT version FROM agent_states") == 1);
    db.exec("CREATE TABLE part_b PARTITION OF agent_states FOR VALUES IN ('b');"
            "INSERT INTO agent_states (agent_id, session_id, state) VALUES ('b', 's', '{}')");
    db.exec(go_save("agent", "after", "{}"));
    CHECK(db.number("SELECT count(DISTINCT version) FROM agent_states") == 3);
    CHECK_NOTHROW(db.verify());
    const auto before = db.snapshot();
    CHECK_NOTHROW(db.migrate());
    CHECK(db.snapshot() == before);
}

TEST_CASE("other columns and other indexes stay", "[migration]") {
    migration_fixture db;
    db.exec(go_schema);
    db.exec("ALTER TABLE agent_states ADD COLUMN note TEXT, ADD COLUMN tenant INT NOT NULL DEFAULT 1,"
            " ADD COLUMN serial BIGINT GENERATED ALWAYS AS IDENTITY, ADD COLUMN size INT NOT NULL"
            " GENERATED ALWAYS AS (length(session_id)) STORED;"
            "CREATE INDEX mine ON agent_states (tenant, updated_at DESC);");
    db.migrate();
    CHECK_NOTHROW(db.verify());
    db.exec(go_save("agent", "s", "{}"));
    CHECK(index_names(db, "agent_states").size() == 3);
}

TEST_CASE("a table whose comments were lost is still known", "[migration]") {
    migration_fixture db;
    db.migrate();
    db.exec("COMMENT ON COLUMN agent_states.version IS NULL");
    const auto before = db.snapshot();
    CHECK_NOTHROW(db.verify());
    CHECK_NOTHROW(db.migrate());
    CHECK(db.snapshot() == before);
}

TEST_CASE("the record moves with a renamed table, and a newer pgstate's is left", "[migration]") {
    migration_fixture db;
    db.migrate();
    db.exec("COMMENT ON COLUMN agent_states.version IS 'pgstate migration 7';"
            "CREATE SCHEMA app; ALTER TABLE agent_states RENAME TO moved; ALTER TABLE moved SET SCHEMA app;");
    CHECK_NOTHROW(db.verify({}, "app.moved"));
    CHECK_NOTHROW(db.migrate({}, "app.moved"));
    CHECK(db.text("SELECT col_description('app.moved'::regclass, 6)") == "pgstate migration 7");
}

TEST_CASE("inspect_schema says what a migration would do, and does nothing", "[migration]") {
    migration_fixture db;
    auto connection = db.connect();
    const auto inspect = [&](const config& settings = {}) {
        return postgres_store::inspect_schema(connection, settings);
    };

    auto report = inspect();
    CHECK(!report.exists);
    CHECK(!report.current());
    CHECK(report.statements.size() == 8);
    CHECK(db.number("SELECT count(*) FROM pg_class WHERE relname = 'agent_states'") == 0);

    db.migrate();
    report = inspect();
    CHECK(report.exists);
    CHECK(report.current());

    db.exec("DROP INDEX idx_agent_states_updated_at");
    report = inspect();
    CHECK(report.missing.size() == 1);
    CHECK(report.statements.size() == 1);
    CHECK(report.refusals.empty());

    db.exec("ALTER TABLE agent_states ALTER COLUMN version DROP IDENTITY");
    report = inspect();
    CHECK(report.refusals.size() == 1);
    CHECK(!report.current());

    config elsewhere;
    elsewhere.table_name = "nowhere.agent_states";
    CHECK_THROWS_AS(inspect(elsewhere), pgstate::error);
}
