#include "config/resolved.hpp"
#include "pgstate/error.hpp"
#include "pgstate/postgres_store.hpp"
#include "schema/definition.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

using namespace pgstate;

namespace {

settings::resolved_config table_config(std::string table = "agent_states", schema_config schema = {},
                                       sweep_config sweep = {}) {
    config input{.connection_string = "host=nowhere"};
    input.table_name = std::move(table);
    input.schema = schema;
    input.sweep = sweep;
    return settings::resolve(input);
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

std::size_t occurrences(const std::string& text, std::string_view part) {
    std::size_t count = 0;
    for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
        ++count;
    return count;
}

} // namespace

TEST_CASE("the default statements are the Go SDK's table and pgstate's migrations", "[schema]") {
    const auto sql =
        schema::statements(schema::complete_plan(table_config()), table_config(), "\"agent_states\"");
    REQUIRE(sql.size() == 7);
    CHECK(sql[0] == "CREATE TABLE IF NOT EXISTS \"agent_states\" (\n"
                    "    agent_id TEXT NOT NULL,\n"
                    "    session_id TEXT NOT NULL,\n"
                    "    state JSONB NOT NULL,\n"
                    "    created_at TIMESTAMPTZ DEFAULT NOW(),\n"
                    "    updated_at TIMESTAMPTZ DEFAULT NOW(),\n"
                    "    PRIMARY KEY (agent_id, session_id)\n"
                    ")");
    CHECK(sql[1] == "ALTER TABLE \"agent_states\" ADD COLUMN IF NOT EXISTS version BIGINT NOT NULL"
                    " DEFAULT (extract(epoch FROM now()) * 1000000)::bigint");
    CHECK(sql[2] == "ALTER TABLE \"agent_states\" ADD COLUMN IF NOT EXISTS expires_at TIMESTAMPTZ");
    CHECK(sql[3] == "ALTER TABLE \"agent_states\" ADD COLUMN IF NOT EXISTS write_name BIGINT");
    CHECK(sql[4] == "CREATE INDEX IF NOT EXISTS \"idx_agent_states_agent_id\" ON \"agent_states\""
                    " USING btree (agent_id)");
    CHECK(sql[5] == "CREATE INDEX IF NOT EXISTS \"idx_agent_states_updated_at\" ON \"agent_states\""
                    " USING btree (updated_at)");
    CHECK(sql[6] == "COMMENT ON COLUMN \"agent_states\".version IS 'pgstate migration 3'");
}

TEST_CASE("lean has a fill factor and no secondary index", "[schema]") {
    const auto sql = schema::schema_sql(table_config("t", {.indexes = index_mode::lean}));
    CHECK(contains(sql, ") WITH (fillfactor = 70);"));
    CHECK(!contains(sql, "CREATE INDEX"));
    CHECK(!contains(schema::schema_sql(table_config("t")), "fillfactor"));
}

TEST_CASE("jsonb_index goes with both index modes", "[schema]") {
    const std::string gin =
        "CREATE INDEX IF NOT EXISTS \"idx_t_state\" ON \"t\" USING gin (state jsonb_path_ops);";
    CHECK(contains(schema::schema_sql(table_config("t", {.jsonb_index = true})), gin));
    const auto lean =
        schema::schema_sql(table_config("t", {.indexes = index_mode::lean, .jsonb_index = true}));
    CHECK(contains(lean, gin));
    CHECK(occurrences(lean, "CREATE INDEX") == 1);
}

TEST_CASE("a store that sweeps has an index of the rows that expire, unless it is lean", "[schema]") {
    using std::chrono_literals::operator""s;
    const sweep_config sweep{.period = 60s};
    const std::string index =
        "CREATE INDEX IF NOT EXISTS \"idx_t_expires_at\" ON \"t\" USING btree (expires_at)"
        " WHERE (expires_at IS NOT NULL);";
    CHECK(occurrences(schema::schema_sql(table_config("t", {}, sweep)), index) == 1);
    CHECK(!contains(schema::schema_sql(table_config("t")), "(expires_at)"));
    CHECK(!contains(schema::schema_sql(table_config("t", {.indexes = index_mode::lean}, sweep)),
                    "(expires_at)"));
}

TEST_CASE("schema_sql is one transaction under the lock that migrate takes", "[schema]") {
    const auto unqualified = schema::schema_sql(table_config("t"));
    CHECK(contains(unqualified, "BEGIN ISOLATION LEVEL READ COMMITTED;\n"));
    CHECK(unqualified.ends_with("COMMIT;\n"));
    CHECK(contains(unqualified, "hashtextextended(E'pgstate schema ' || current_schema() || E'.t', 0)"));
    CHECK(contains(schema::schema_sql(table_config("app.t")),
                   "hashtextextended(E'pgstate schema ' || E'app' || E'.t', 0)"));
    CHECK(schema::migration_lock_name("app", "t") == "pgstate schema app.t");
}

TEST_CASE("a table's name cannot leave its quotes in schema_sql", "[schema]") {
    const auto sql = schema::schema_sql(table_config("\"x\"\"; DROP TABLE y; --\n\\' \""));
    CHECK(contains(sql, "CREATE TABLE IF NOT EXISTS \"x\"\"; DROP TABLE y; --\n\\' \" ("));
    CHECK(contains(sql, "E'.x\"; DROP TABLE y; --\n\\\\'' '"));
    // Only inside quotes: once for the table itself, three ALTER, two indexes twice, COMMENT and the lock.
    CHECK(occurrences(sql, "DROP TABLE y") == 10);
}

TEST_CASE("indexes of a schema-qualified table carry no schema", "[schema]") {
    const auto sql = schema::schema_sql(table_config("App.T"));
    CHECK(contains(sql,
                   "CREATE INDEX IF NOT EXISTS \"idx_T_agent_id\" ON \"App\".\"T\" USING btree (agent_id)"));
}

TEST_CASE("migrations are numbered from 1 without gaps, and each column belongs to one", "[schema]") {
    int expected = 1;
    for (const auto& step : schema::migrations())
        CHECK(step.number == expected++);
    for (const auto& column : schema::columns()) {
        CHECK(column.since >= 0);
        CHECK(column.since < expected);
        if (column.since > 0) CHECK((column.needs_default || !column.not_null));
    }
}

TEST_CASE("the migration's record is read back, and nothing else is one", "[schema]") {
    CHECK(schema::recorded_migration(schema::migration_record(1)) == 1);
    CHECK(schema::recorded_migration(schema::migration_record(27)) == 27);
    for (const char* other :
         {"", "version of the state", "pgstate migration ", "pgstate migration x", "pgstate migration -1",
          "pgstate migration 1 or so", "pgstate migration 99999999999"})
        CHECK(schema::recorded_migration(other) == 0);
}

TEST_CASE("the table's name is quoted as SQL of one's own must write it", "[schema]") {
    config settings;
    CHECK(postgres_store::quoted_table(settings) == "\"agent_states\"");
    settings.table_name = "app.Of \"ours";
    CHECK_THROWS_AS(postgres_store::quoted_table(settings), pgstate::error);
    settings.table_name = "app.\"Of \"\"ours\"";
    CHECK(postgres_store::quoted_table(settings) == "\"app\".\"Of \"\"ours\"");
}
