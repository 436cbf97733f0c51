#ifndef PGSTATE_TEST_INTEGRATION_MIGRATION_SUPPORT_HPP
#define PGSTATE_TEST_INTEGRATION_MIGRATION_SUPPORT_HPP

#include "config/resolved.hpp"
#include "pgstate/config.hpp"
#include "pgstate/error.hpp"
#include "schema/definition.hpp"
#include "schema/migrate.hpp"
#include "support/go_sdk.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <catch2/catch_test_macros.hpp>
#include <pqxx/pqxx>

#include <cstdint>
#include <string>
#include <string_view>

namespace pgstate_test {

/// A database of its own, and a connection to it that the tests look through.
class migration_fixture {
public:
    migration_fixture() : database_(fresh_database()), connection_(database_) {}

    pgstate::sweep_config sweep{}; ///< of the configurations below

    pqxx::connection connect() const { return pqxx::connection(database_); }

    pqxx::result exec(const std::string& sql) { return pqxx::nontransaction(connection_).exec(sql); }

    std::string text(const std::string& query) {
        const auto rows = exec(query);
        return rows.empty() || rows[0][0].is_null() ? std::string() : rows[0][0].as<std::string>();
    }
    std::int64_t number(const std::string& query) { return std::stoll(text(query)); }
    bool yes(const std::string& query) { return text(query) == "t"; }

    pgstate::settings::resolved_config resolved(const pgstate::schema_config& schema = {},
                                                const std::string& table = "agent_states") const {
        pgstate::config input;
        input.connection_string = database_;
        input.table_name = table;
        input.schema = schema;
        input.sweep = sweep;
        return pgstate::settings::resolve(input);
    }

    /// Migrates on the fixture's connection.
    void migrate(const pgstate::schema_config& schema = {}, const std::string& table = "agent_states") {
        pgstate::schema::migrate(connection_, resolved(schema, table));
    }
    void verify(pgstate::schema_config schema = {}, const std::string& table = "agent_states") {
        schema.migrate = pgstate::migrate_mode::verify;
        migrate(schema, table);
    }

    /// What `migrate` (or `verify`) failed with; it must.
    pgstate::error migrate_failure(const pgstate::schema_config& schema = {},
                                   const std::string& table = "agent_states") {
        auto failure = failure_of([&] { migrate(schema, table); });
        CHECK(failure.operation() == "open");
        return failure;
    }
    pgstate::error verify_failure(pgstate::schema_config schema = {},
                                  const std::string& table = "agent_states") {
        schema.migrate = pgstate::migrate_mode::verify;
        return migrate_failure(schema, table);
    }

    /// All that is in the database's own schemas, down to who wrote it last: equal only if nothing was written.
    std::string snapshot() {
        return text(
            "SELECT md5(string_agg(line, '|' ORDER BY line)) FROM ("
            " SELECT c::text || c.xmin AS line FROM pg_class c WHERE relnamespace NOT IN (SELECT oid FROM"
            "   pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema', 'pg_toast'))"
            " UNION ALL SELECT a::text || a.xmin FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
            "   WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace"
            "   WHERE nspname IN ('pg_catalog', 'information_schema', 'pg_toast'))"
            " UNION ALL SELECT n::text || n.xmin FROM pg_namespace n"
            " UNION ALL SELECT d::text FROM pg_description d) everything");
    }

private:
    std::string database_;
    pqxx::connection connection_;
};

inline bool mentions(const pgstate::error& failure, std::string_view part) {
    INFO(failure.what());
    INFO(part);
    const bool found = std::string_view(failure.what()).find(part) != std::string_view::npos;
    CHECK(found);
    return found;
}

} // namespace pgstate_test

#endif
