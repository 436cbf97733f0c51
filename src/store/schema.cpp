#include "store/schema.hpp"

#include "store/sql_text.hpp"

#include <array>
#include <charconv>
#include <utility>

namespace pgstate::store {
namespace {

constexpr std::array<column_definition, 8> all_columns{{
    {"agent_id", "text", true, false, 0},
    {"session_id", "text", true, false, 0},
    {"state", "jsonb", true, false, 0},
    {"created_at", "timestamp with time zone", false, false, 0},
    {"updated_at", "timestamp with time zone", false, false, 0},
    {"version", "bigint", true, true, 1},
    {"expires_at", "timestamp with time zone", false, false, 2},
    {"write_name", "bigint", false, false, 3},
}};

// Microseconds since the epoch, as the store's own statements count. now() is stable, so that the server adds the
// column without rewriting the table: the rows that are there share the time of the migration.
std::string add_version(std::string_view quoted_table) {
    return std::string("ALTER TABLE ")
        .append(quoted_table)
        .append(" ADD COLUMN IF NOT EXISTS version BIGINT NOT NULL"
                " DEFAULT (extract(epoch FROM now()) * 1000000)::bigint");
}

// Without a default, so that a save which does not know the column makes a state that stays.
std::string add_expires_at(std::string_view quoted_table) {
    return std::string("ALTER TABLE ")
        .append(quoted_table)
        .append(" ADD COLUMN IF NOT EXISTS expires_at TIMESTAMPTZ");
}

// Writers that do not know the column leave the name of whoever wrote before them, whose write that still was.
std::string add_write_name(std::string_view quoted_table) {
    return std::string("ALTER TABLE ")
        .append(quoted_table)
        .append(" ADD COLUMN IF NOT EXISTS write_name BIGINT");
}

constexpr std::array<migration, 3> all_migrations{{
    {1, add_version},
    {2, add_expires_at},
    {3, add_write_name},
}};

constexpr std::string_view lock_prefix = "pgstate schema ";
constexpr std::string_view record_prefix = "pgstate migration ";

// Free space in each page for the row's next version, which then needs no new index entries.
constexpr std::string_view lean_storage = " WITH (fillfactor = 70)";

std::string create_table(const schema_config& schema, std::string_view quoted_table) {
    std::string sql = "CREATE TABLE IF NOT EXISTS ";
    sql.append(quoted_table);
    sql += " (\n"
           "    agent_id TEXT NOT NULL,\n"
           "    session_id TEXT NOT NULL,\n"
           "    state JSONB NOT NULL,\n"
           "    created_at TIMESTAMPTZ DEFAULT NOW(),\n"
           "    updated_at TIMESTAMPTZ DEFAULT NOW(),\n"
           "    PRIMARY KEY (agent_id, session_id)\n"
           ")";
    if (schema.indexes == index_mode::lean) sql += lean_storage;
    return sql;
}

std::string create_index(const index_definition& index, const settings::table_identifier& table,
                         std::string_view quoted_table) {
    std::string sql = "CREATE INDEX IF NOT EXISTS " + table.quoted_index(index.suffix) + " ON ";
    sql.append(quoted_table).append(" USING ").append(index.method).append(" (").append(index.column);
    if (!index.operator_class.empty()) sql.append(" ").append(index.operator_class);
    sql += ")";
    if (!index.predicate.empty()) sql.append(" WHERE ").append(index.predicate);
    return sql;
}

} // namespace

std::span<const column_definition> columns() noexcept {
    return all_columns;
}

std::span<const migration> migrations() noexcept {
    return all_migrations;
}

std::vector<index_definition> wanted_indexes(const settings::resolved_config& config) {
    const auto& schema = config.schema;
    std::vector<index_definition> wanted;
    if (schema.indexes == index_mode::standard) {
        wanted.push_back({"agent_id", "btree", "agent_id"});
        wanted.push_back({"updated_at", "btree", "updated_at"});
        // Who does not sweep has no use for it.
        if (config.sweep.period.count() != 0)
            wanted.push_back({"expires_at", "btree", "expires_at", {}, "(expires_at IS NOT NULL)"});
    }
    if (schema.jsonb_index) wanted.push_back({"state", "gin", "state", "jsonb_path_ops"});
    return wanted;
}

schema_plan complete_plan(const settings::resolved_config& config) {
    return {.create_table = true,
            .migrations = {all_migrations.begin(), all_migrations.end()},
            .indexes = wanted_indexes(config),
            .record = all_migrations.back().number};
}

std::vector<std::string> statements(const schema_plan& plan, const settings::resolved_config& config,
                                    std::string_view quoted_table) {
    std::vector<std::string> sql;
    if (plan.create_table) sql.push_back(create_table(config.schema, quoted_table));
    // ALTER TABLE comes before CREATE INDEX: asking for the stronger lock second could deadlock with writers.
    for (const auto& step : plan.migrations)
        sql.push_back(step.sql(quoted_table));
    for (const auto& index : plan.indexes)
        sql.push_back(create_index(index, config.table, quoted_table));
    if (!plan.migrations.empty())
        sql.push_back(std::string("COMMENT ON COLUMN ")
                          .append(quoted_table)
                          .append(".version IS '")
                          .append(migration_record(plan.record))
                          .append("'"));
    return sql;
}

std::string migration_record(int number) {
    return std::string(record_prefix) + std::to_string(number);
}

int recorded_migration(std::string_view comment) noexcept {
    if (!comment.starts_with(record_prefix)) return 0;
    comment.remove_prefix(record_prefix.size());
    int number = 0;
    const char* end = comment.data() + comment.size();
    const auto [at, failure] = std::from_chars(comment.data(), end, number);
    return failure == std::errc() && at == end && number > 0 ? number : 0;
}

std::string migration_lock_name(std::string_view schema, std::string_view table) {
    return std::string(lock_prefix).append(schema).append(".").append(table);
}

std::string schema_sql(const settings::resolved_config& config) {
    // No comment may hold the table's name: a line feed in it would end the comment.
    std::string sql =
        "-- The table of pgstate, in one transaction that may be run more than once. A role that does\n"
        "-- not own the table needs SELECT, INSERT, UPDATE and DELETE on it.\n"
        "BEGIN ISOLATION LEVEL READ COMMITTED;\n\n";
    const auto schema =
        config.table.schema.empty() ? std::string("current_schema()") : quote_literal(config.table.schema);
    sql.append("SELECT pg_advisory_xact_lock(hashtextextended(")
        .append(quote_literal(lock_prefix))
        .append(" || ")
        .append(schema)
        .append(" || ")
        .append(quote_literal("." + config.table.name))
        .append(", 0));\n")
        .append("SELECT set_config('lock_timeout', '")
        .append(table_lock_timeout)
        .append("', true) WHERE current_setting('lock_timeout') = '0';\n\n");
    for (const auto& statement : statements(complete_plan(config), config, config.table.quoted()))
        sql.append(statement).append(";\n\n");
    return sql + "COMMIT;\n";
}

} // namespace pgstate::store
