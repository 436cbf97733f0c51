#include "schema/migrate.hpp"

#include "pgstate/error.hpp"
#include "pool/sql_error.hpp"
#include "schema/catalog.hpp"
#include "schema/definition.hpp"
#include "schema/shape.hpp"
#include "sql/session_settings.hpp"

#include <pqxx/connection>
#include <pqxx/result>
#include <pqxx/transaction>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::schema {
namespace {

using settings::quote_identifier;

constexpr std::string_view operation = "open";
constexpr std::string_view by_hand = "run the statements of postgres_store::schema_sql()";

// How long to wait for another process's migration of the same table, unless the session has a lock_timeout.
constexpr std::string_view turn_timeout = "60s";

constexpr int most_attempts = 5;

settings::table_identifier located(const table_shape& shape, const settings::resolved_config& config) {
    return {shape.schema, config.table.name};
}

// Throws unless there is a schema that the table is or could be in.
void refuse_schema(const catalog_entry& found) {
    const auto& shape = found.shape;
    if (shape.schema.empty())
        throw error::from_server(
            "3F000", operation,
            "no schema of the search_path exists or may be used; write the table as schema.table");
    const auto schema = quote_identifier(shape.schema);
    if (!shape.schema_exists)
        throw error::from_server("3F000", operation,
                                 "schema " + schema + " does not exist; create it first (CREATE SCHEMA " +
                                     schema + "): pgstate makes tables only");
    if (!found.may_use_schema)
        throw error::from_server("42501", operation,
                                 "the role may not use schema " + schema + "; GRANT USAGE ON SCHEMA " +
                                     schema + " TO " + quote_identifier(found.role));
}

// Throws unless the table is current or can be made so.
void refuse_other_shapes(const catalog_entry& found, const shape_difference& difference,
                         const settings::resolved_config& config) {
    refuse_schema(found);
    const auto& shape = found.shape;
    if (!difference.refusals.empty())
        throw error(errc::schema_mismatch, operation,
                    "table " + located(shape, config).quoted() +
                        " is not one that pgstate can use: " + list_differences(difference.refusals) +
                        ". Nothing was changed; alter the table, or configure another table_name");
}

[[noreturn]] void throw_not_current(const table_shape& shape, const shape_difference& difference,
                                    const settings::resolved_config& config) {
    throw error(errc::schema_mismatch, operation,
                "table " + located(shape, config).quoted() +
                    " is not up to date: " + list_differences(difference.missing) +
                    ". Open once with schema.migrate = apply, or " + std::string(by_hand));
}

// What to do about a refusal of the server; empty: nothing that is known here.
std::string advice(std::string_view sqlstate, const catalog_entry& found) {
    if (sqlstate == "42501" && found.shape.exists)
        return "only the table's owner can bring it up to date: open once as that role, or let it " +
               std::string(by_hand);
    if (sqlstate == "42501")
        return "GRANT CREATE ON SCHEMA " + quote_identifier(found.shape.schema) + " TO " +
               quote_identifier(found.role) + ", or let another role " + std::string(by_hand);
    if (sqlstate == "25006")
        return "the table is not up to date, and this server or session is read-only: open once on the primary";
    if (sqlstate == "55P03")
        return "the table is in use by a long transaction or another migration; open again later, or " +
               std::string(by_hand) + " at a quiet time";
    return {};
}

// Another program that creates the table at the same time (the Go SDK takes no lock) shows as one of these.
bool lost_a_race(std::string_view sqlstate) {
    constexpr std::array<std::string_view, 8> races{"23505", "42P07", "42710", "42701",
                                                    "42P01", "40P01", "40001", "XX000"};
    return std::ranges::find(races, sqlstate) != races.end();
}

void wait_for_turn(pqxx::work& sql, const table_shape& shape, const settings::resolved_config& config) {
    // Each statement must see what the process before us committed, whatever the role's default is.
    sql.exec("SET TRANSACTION ISOLATION LEVEL READ COMMITTED");
    sql::set_for(sql, config.session_settings, operation);
    const auto set_timeout = [&](std::string_view timeout) {
        return "SELECT set_config('lock_timeout', '" + std::string(timeout) + "', true)";
    };
    const bool unlimited =
        !sql.exec(set_timeout(turn_timeout) + " WHERE current_setting('lock_timeout') = '0'").empty();
    sql.exec("SELECT pg_advisory_xact_lock(hashtextextended(" +
             sql.quote(migration_lock_name(shape.schema, config.table.name)) + ", 0))");
    if (unlimited) sql.exec(set_timeout(table_lock_timeout));
}

void apply(pqxx::connection& connection, const catalog_entry& before,
           const settings::resolved_config& config) {
    pqxx::work sql(connection);
    wait_for_turn(sql, before.shape, config);

    const auto found = read_catalog(sql, config);
    const auto difference = compare(found.shape, config);
    refuse_other_shapes(found, difference, config);
    if (difference.current()) return;

    for (const auto& statement : statements(difference.plan, config, located(found.shape, config)))
        sql.exec(statement);

    // IF NOT EXISTS passes over whatever bears the name.
    const auto made = read_catalog(sql, config);
    const auto rest = compare(made.shape, config);
    refuse_other_shapes(made, rest, config);
    if (!rest.current()) throw_not_current(made.shape, rest, config);
    sql.commit();
}

catalog_entry look(pqxx::connection& connection, const settings::resolved_config& config) {
    pqxx::work sql(connection); // for settings that last no longer
    sql::set_for(sql, config.session_settings, operation);
    return read_catalog(sql, config);
}

/// \param rows  there are, or will be, histories in rows
sql::histories where_histories_are(const settings::table_identifier& table,
                                   const settings::resolved_config& config, bool rows) {
    sql::histories where{.checkpoint_every_save = config.history.checkpoint_every_save,
                         .keep = config.history.keep};
    if (!rows) return where;
    where.messages = table.quoted_related(messages_suffix);
    where.begin_in_rows = config.schema.history == history_layout::rows;
    return where;
}

sql::histories migrate_once(pqxx::connection& connection, const settings::resolved_config& config) {
    catalog_entry found;
    try {
        found = look(connection, config);
        const auto difference = compare(found.shape, config);
        refuse_other_shapes(found, difference, config);
        if (!difference.current()) {
            if (config.schema.migrate == migrate_mode::verify)
                throw_not_current(found.shape, difference, config);
            apply(connection, found, config);
        }
        return where_histories_are(config.table, config, may_be_in_rows(found.shape, config));
    } catch (...) {
        pool::rethrow_as_error(operation, [&](std::string_view sqlstate) { return advice(sqlstate, found); });
    }
}

} // namespace

sql::histories migrate(pqxx::connection& connection, const settings::resolved_config& config) {
    if (config.schema.migrate == migrate_mode::off)
        return where_histories_are(config.table, config, config.schema.history == history_layout::rows);
    for (int attempt = 1;; ++attempt) {
        try {
            return sql::keeping_values_secret(config.session_settings,
                                              [&] { return migrate_once(connection, config); });
        } catch (const error& failure) {
            if (attempt == most_attempts || !lost_a_race(failure.sqlstate())) throw;
        }
    }
}

schema_report inspect(pqxx::connection& connection, const settings::resolved_config& config) {
    schema_report report;
    sql::keeping_values_secret(config.session_settings, [&] {
        try {
            const auto found = look(connection, config);
            refuse_schema(found);
            auto difference = compare(found.shape, config);
            report.exists = found.shape.exists;
            report.statements = statements(difference.plan, config, located(found.shape, config));
            report.refusals = std::move(difference.refusals);
            report.missing = std::move(difference.missing);
        } catch (...) {
            pool::rethrow_as_error("inspect");
        }
    });
    return report;
}

} // namespace pgstate::schema
