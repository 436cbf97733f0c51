#include "facts.hpp"

#include <pgstate/postgres_store.hpp>

#include <pqxx/connection>
#include <pqxx/except>
#include <pqxx/nontransaction>
#include <pqxx/result>
#include <pqxx/transaction>

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace pgstate::cli {
namespace {

void read_session(pqxx::nontransaction& sql, facts& read) {
    const auto rows = sql.exec(
        "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool,"
        " coalesce((SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl), ''),"
        " NOT coalesce(inet_client_addr() <<= '127.0.0.0/8' OR inet_client_addr() <<= '::1/128', true),"
        " pg_backend_pid(), quote_ident(current_user)");
    int process = 0;
    std::tie(read.standby, read.read_only, read.tls, read.over_network, process, read.role) =
        rows[0].as<bool, bool, std::string, bool, int, std::string>();
    read.pooler = process != sql.conn().backendpid(); // a pooler gives clients numbers of its own
}

void read_server(pqxx::nontransaction& sql, facts& read) {
    const auto rows =
        sql.exec("SELECT current_setting('max_connections')::int,"
                 " current_setting('superuser_reserved_connections')::int"
                 " + coalesce(current_setting('reserved_connections', true)::int, 0),"
                 " (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'),"
                 " current_setting('fsync')::bool, current_setting('full_page_writes')::bool,"
                 " current_setting('synchronous_commit')");
    std::tie(read.max_connections, read.reserved_connections, read.used_connections, read.fsync,
             read.full_page_writes, read.synchronous_commit) =
        rows[0].as<int, int, int, bool, bool, std::string>();
}

void read_privileges(pqxx::nontransaction& sql, const std::string& table, facts& read) {
    const auto rows = sql.exec("SELECT p, has_table_privilege(" + table +
                               ", p) FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS p");
    for (const auto& row : rows)
        if (!row[1].as<bool>()) read.missing_privileges.push_back(row[0].as<std::string>());
    const auto owner =
        sql.exec("SELECT pg_has_role(relowner, 'USAGE') FROM pg_catalog.pg_class WHERE oid = " + table);
    read.owns_table = owner[0][0].as<bool>();
}

void read_statistics(pqxx::nontransaction& sql, const std::string& table, facts& read) {
    const auto invalid =
        sql.exec("SELECT indexrelid::regclass::text FROM pg_catalog.pg_index WHERE indrelid = " + table +
                 " AND NOT (indisvalid AND indisready) ORDER BY 1");
    for (const auto& row : invalid)
        read.invalid_indexes.push_back(row[0].as<std::string>());

    const auto rows = sql.exec(
        "SELECT n_live_tup, n_dead_tup, coalesce(to_char(greatest(last_vacuum, last_autovacuum) AT TIME ZONE"
        " 'UTC', 'YYYY-MM-DD HH24:MI \"UTC\"'), ''), n_tup_upd, n_tup_hot_upd"
        " FROM pg_catalog.pg_stat_user_tables WHERE relid = " +
        table);
    if (rows.empty()) return;
    std::tie(read.live_rows, read.dead_rows, read.last_vacuum, read.updates, read.hot_updates) =
        rows[0].as<std::int64_t, std::int64_t, std::string, std::int64_t, std::int64_t>();
}

/// Nothing where it takes too long: without an index the whole table is read.
std::optional<std::int64_t> number_in_time(pqxx::nontransaction& sql, const std::string& query) {
    try {
        return sql.exec(query)[0][0].as<std::int64_t>();
    } catch (const pqxx::sql_error& e) {
        if (e.sqlstate() == "57014") return std::nullopt;
        throw;
    }
}

/// The sequence of the table's versions, as a query's FROM gives it.
std::string sequence_of(const std::string& table) {
    return "pg_get_serial_sequence(" + table + "::regclass::text, 'version')";
}

void read_versions(pqxx::nontransaction& sql, const std::string& table, facts& read) {
    const auto drawn = sql.exec("SELECT CASE WHEN has_sequence_privilege(s, 'USAGE, SELECT')"
                                " THEN coalesce(pg_sequence_last_value(s::regclass), 0) END,"
                                " has_column_privilege(" +
                                sql.quote(table) + "::regclass, 'version', 'SELECT') FROM " +
                                sequence_of(sql.quote(table)) + " AS s");
    if (!drawn[0][0].is_null()) read.last_drawn = drawn[0][0].as<std::int64_t>();
    if (!drawn[0][1].as<bool>()) return;
    read.newest_version = number_in_time(sql, "SELECT coalesce(max(version), 0) FROM " + table);
}

void read_expired(pqxx::nontransaction& sql, const std::string& table, facts& read) {
    // The column may be missing, and the role may not be allowed to read it.
    const auto readable =
        sql.exec("SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = " + sql.quote(table) +
                 "::regclass AND attname = 'expires_at' AND atttypid = 'timestamptz'::regtype"
                 " AND NOT attisdropped AND has_column_privilege(attrelid, attnum, 'SELECT')");
    if (readable.empty()) return;
    read.expired_rows = number_in_time(sql, "SELECT count(*) FROM (SELECT FROM " + table +
                                                " WHERE expires_at <= now() LIMIT " +
                                                std::to_string(most_expired) + ") AS e");
}

} // namespace

facts read_facts(pqxx::connection& connection, const config& settings) {
    facts read;
    read.table = postgres_store::quoted_table(settings);
    read.lean = settings.schema.indexes == index_mode::lean;
    auto report = postgres_store::inspect_schema(connection, settings);
    read.exists = report.exists;
    read.refusals = std::move(report.refusals);
    read.missing = std::move(report.missing);

    pqxx::nontransaction sql(connection);
    read_session(sql, read);
    read_server(sql, read);
    if (read.exists) {
        const auto oid = sql.quote(read.table) + "::regclass";
        read_privileges(sql, oid, read);
        read_statistics(sql, oid, read);
        read_expired(sql, read.table, read);
        if (read.refusals.empty()) read_versions(sql, read.table, read);
    } else {
        const auto rows =
            sql.exec("SELECT coalesce(has_schema_privilege(coalesce(parts[array_length(parts, 1) - 1],"
                     " current_schema()), 'CREATE'), false) FROM parse_ident(" +
                     sql.quote(read.table) + ") AS parts");
        read.may_create = rows[0][0].as<bool>();
    }
    return read;
}

void advance_versions(pqxx::connection& connection, const config& settings) {
    const auto table = postgres_store::quoted_table(settings);
    pqxx::work sql(connection);
    sql.exec("LOCK TABLE " + table + " IN EXCLUSIVE MODE"); // no version is drawn meanwhile
    sql.exec("SELECT setval(s::regclass, newest) FROM (SELECT max(version) AS newest FROM " + table +
             ") AS t, " + sequence_of(sql.quote(table)) +
             " AS s WHERE newest > coalesce(pg_sequence_last_value(s::regclass), 0)");
    sql.commit();
}

} // namespace pgstate::cli
