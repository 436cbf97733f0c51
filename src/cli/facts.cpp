#include "facts.hpp"

#include "failure.hpp"
#include "histories.hpp"
#include "moving.hpp"
#include <pgstate/postgres_store.hpp>

#include <pqxx/connection>
#include <pqxx/except>
#include <pqxx/nontransaction>
#include <pqxx/result>
#include <pqxx/transaction>

#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
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
    const auto rows = sql.exec(
        "SELECT current_setting('max_connections')::int,"
        " current_setting('superuser_reserved_connections')::int"
        " + coalesce(current_setting('reserved_connections', true)::int, 0),"
        " (SELECT count(*) FROM pg_catalog.pg_stat_activity" // of others' a role may not see the type
        " WHERE coalesce(backend_type = 'client backend', usesysid IS NOT NULL)),"
        " current_setting('fsync')::bool, current_setting('full_page_writes')::bool,"
        " current_setting('synchronous_commit')");
    std::tie(read.max_connections, read.reserved_connections, read.used_connections, read.fsync,
             read.full_page_writes, read.synchronous_commit) =
        rows[0].as<int, int, int, bool, bool, std::string>();
}

/// The table and its partitions, as oids.
std::string parts_of(const std::string& table) {
    return "(SELECT relid::oid FROM pg_catalog.pg_partition_tree(" + table + ") UNION SELECT " + table +
           "::oid)";
}

void read_privileges(pqxx::nontransaction& sql, const std::string& table, facts& read) {
    const auto rows = sql.exec("SELECT p, has_table_privilege(" + table +
                               ", p) FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS p");
    for (const auto& row : rows)
        if (!row[1].as<bool>()) read.missing_privileges.push_back(row[0].as<std::string>());
    const auto row =
        sql.exec("SELECT pg_has_role(relowner, 'USAGE'), relrowsecurity, row_security_active(oid)"
                 " FROM pg_catalog.pg_class WHERE oid = " +
                 table);
    const auto [owner, secured, active] = row[0].as<bool, bool, bool>();
    read.owns_table = owner;
    using policies = facts::row_security;
    read.policies = !secured ? policies::none : active ? policies::applies : policies::bypassed;
}

void read_statistics(pqxx::nontransaction& sql, const std::string& table, facts& read) {
    const auto invalid =
        sql.exec("SELECT indexrelid::regclass::text FROM pg_catalog.pg_index WHERE indrelid IN " +
                 parts_of(table) + " AND NOT (indisvalid AND indisready) ORDER BY 1");
    for (const auto& row : invalid)
        read.invalid_indexes.push_back(row[0].as<std::string>());

    const auto rows = sql.exec(
        "SELECT current_setting('track_counts')::bool AND count(*) > 0, coalesce(sum(n_live_tup), 0)::bigint,"
        " coalesce(sum(n_dead_tup), 0)::bigint,"
        " coalesce(to_char(max(greatest(last_vacuum, last_autovacuum)) AT TIME ZONE"
        " 'UTC', 'YYYY-MM-DD HH24:MI \"UTC\"'), ''),"
        " coalesce(sum(n_tup_upd), 0)::bigint, coalesce(sum(n_tup_hot_upd), 0)::bigint,"
        " (SELECT coalesce(bool_or(relpersistence = 'u'), false) FROM pg_catalog.pg_class"
        " WHERE oid IN " +
        parts_of(table) +
        " AND relkind <> 'p')"
        " FROM pg_catalog.pg_stat_user_tables WHERE relid IN " +
        parts_of(table));
    std::tie(read.counted, read.live_rows, read.dead_rows, read.last_vacuum, read.updates, read.hot_updates,
             read.unlogged) =
        rows[0].as<bool, std::int64_t, std::int64_t, std::string, std::int64_t, std::int64_t, bool>();
}

/// Nothing where it takes too long, as without an index the whole table is read, or where it is refused, as it is with
/// row_security = off.
template <class Read>
std::invoke_result_t<Read> in_time(Read read) {
    try {
        return read();
    } catch (const pqxx::insufficient_privilege&) { // libpqxx 7 gives it no SQLSTATE
        return std::nullopt;
    } catch (const pqxx::sql_error& e) {
        if (e.sqlstate() == "57014") return std::nullopt;
        throw;
    }
}

std::optional<std::int64_t> number_in_time(pqxx::nontransaction& sql, const std::string& query) {
    return in_time([&] { return std::optional(sql.exec(query)[0][0].as<std::int64_t>()); });
}

/// Histories `e`, as agent_id, session_id and epoch, whose messages nobody has. An index finds the next history behind each: the
/// time depends on their number, and not on that of messages. \param behind  "" or a condition for `m`
std::string orphans_of(const history_tables& tables, const std::string& behind) {
    const auto next = [&](const std::string& condition) {
        return "(SELECT m.agent_id, m.session_id, m.epoch FROM " + tables.messages + " AS m" + condition +
               " ORDER BY m.agent_id, m.session_id, m.epoch LIMIT 1)";
    };
    const auto none_in = [](const std::string& table) {
        return " NOT EXISTS (SELECT FROM " + table +
               " AS o WHERE o.agent_id = e.agent_id AND o.session_id = e.session_id AND o.epoch = e.epoch)";
    };
    return "(WITH RECURSIVE e AS (" + next(behind) + " UNION ALL SELECT n.* FROM e CROSS JOIN LATERAL " +
           next(" WHERE (m.agent_id, m.session_id, m.epoch) > (e.agent_id, e.session_id, e.epoch)") +
           " AS n) SELECT * FROM e WHERE" + none_in(tables.table) + " AND" + none_in(tables.checkpoints) +
           " LIMIT " + std::to_string(most_histories_counted) + ")";
}

/// States and checkpoints whose messages are not as many as they say.
std::string incomplete_of(const history_tables& tables) {
    const auto in = [&](const std::string& table) {
        return "SELECT t.agent_id, t.session_id FROM " + table +
               " AS t WHERE t.epoch IS NOT NULL AND t.messages IS DISTINCT FROM (SELECT count(*) FROM " +
               tables.messages + " AS m WHERE " + messages_of("t") + ")";
    };
    return "(" + in(tables.table) + " UNION ALL " + in(tables.checkpoints) + " LIMIT " +
           std::to_string(most_histories_counted) + ")";
}

/// Nothing where number_in_time() gives nothing. \param of  a query of keys, in parentheses
std::optional<histories_seen> histories_in_time(pqxx::nontransaction& sql, const std::string& of) {
    constexpr auto most_named = " LIMIT 5";
    histories_seen seen;
    const auto read = [&] {
        const auto rows =
            sql.exec("SELECT agent_id, session_id, count(*) OVER () FROM " + of + " AS h" + most_named);
        for (const auto& row : rows) {
            seen.which.push_back(name_of(row[0].as<std::string>(), row[1].as<std::string>()));
            seen.count = row[2].as<std::int64_t>();
        }
        return std::optional(seen);
    };
    return in_time(read);
}

void read_histories(pqxx::nontransaction& sql, const config& settings, facts& read) {
    history_tables tables(settings);
    tables.look(sql);
    read.histories_in_rows = tables.in_rows;
    read.messages_table = tables.messages;
    if (!tables.in_rows) return;
    const auto privileges = sql.exec("SELECT p, has_table_privilege(" + sql.quote(tables.messages) +
                                     "::regclass, p) FROM unnest('{SELECT,INSERT}'::text[]) AS p");
    for (const auto& row : privileges)
        if (!row[1].as<bool>()) read.missing_on_messages.push_back(row[0].as<std::string>());
    if (read.policies == facts::row_security::applies) return; // what is hidden would seem to be gone
    read.orphans = histories_in_time(sql, orphans_of(tables, ""));
    read.incomplete = histories_in_time(sql, incomplete_of(tables));
}

/// The sequence of the table's versions, as a query's FROM gives it.
std::string sequence_of(const std::string& table) {
    return "pg_get_serial_sequence(" + table + "::regclass::text, 'version')";
}

void read_versions(pqxx::nontransaction& sql, const std::string& table, facts& read) {
    const auto may =
        sql.exec("SELECT s, has_sequence_privilege(s, 'SELECT'), has_column_privilege(" + sql.quote(table) +
                 "::regclass, 'version', 'SELECT') FROM " + sequence_of(sql.quote(table)) + " AS s");
    const auto sequence = may[0];
    // Before the first draw, and after RESTART, `last_value` is the next one.
    if (!sequence[0].is_null() && sequence[1].as<bool>())
        read.last_drawn = number_in_time(sql, "SELECT last_value - (NOT is_called)::int FROM " +
                                                  sequence[0].as<std::string>());
    if (!sequence[2].as<bool>()) return;
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
        if (read.refusals.empty()) {
            read_versions(sql, read.table, read);
            read_histories(sql, settings, read);
        }
    } else {
        const auto rows =
            sql.exec("SELECT coalesce(has_schema_privilege(coalesce(parts[array_length(parts, 1) - 1],"
                     " current_schema()), 'CREATE'), false) FROM parse_ident(" +
                     sql.quote(read.table) + ") AS parts");
        read.may_create = rows[0][0].as<bool>();
    }
    return read;
}

std::vector<state_key> keys_behind(pqxx::connection& connection, const config& settings,
                                   const std::optional<state_key>& after) {
    constexpr auto bytes_of_a_page = "4194304"; // as stored
    pqxx::nontransaction sql(connection);
    const auto behind = after ? " AND (agent_id, session_id) > (" + sql.quote(after->agent_id) + ", " +
                                    sql.quote(after->session_id) + ")"
                              : std::string();
    const auto rows = sql.exec(
        "SELECT agent_id, session_id FROM (SELECT agent_id, session_id, sum(pg_column_size(state)) OVER"
        " (ORDER BY agent_id, session_id ROWS UNBOUNDED PRECEDING) - pg_column_size(state) AS before FROM"
        " (SELECT agent_id, session_id, state FROM " +
        postgres_store::quoted_table(settings) + " WHERE (expires_at IS NULL OR expires_at > now())" +
        behind + " ORDER BY agent_id, session_id LIMIT 1000) AS p) AS s WHERE before < " + bytes_of_a_page +
        " ORDER BY agent_id, session_id");
    std::vector<state_key> keys;
    for (const auto& row : rows)
        keys.emplace_back(row[0].as<std::string>(), row[1].as<std::string>());
    return keys;
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

void delete_orphans(pqxx::connection& connection, const config& settings) {
    history_tables tables(settings);
    for (std::string behind;;) {
        std::vector<state_key> keys;
        {
            pqxx::nontransaction sql(connection);
            tables.look(sql);
            if (!tables.in_rows) return;
            for (const auto& row : sql.exec("SELECT agent_id, session_id, epoch FROM " +
                                            orphans_of(tables, behind) + " AS h LIMIT 100")) {
                keys.emplace_back(row[0].as<std::string>(), row[1].as<std::string>());
                behind = " WHERE (m.agent_id, m.session_id, m.epoch) > (" + sql.quote(keys.back().agent_id) +
                         ", " + sql.quote(keys.back().session_id) + ", " +
                         sql.quote(row[2].as<std::string>()) + ")";
            }
        }
        if (keys.empty()) return;
        pqxx::work sql(connection);
        sql.exec("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"); // whatever the role's default is
        const auto rows = rows_of_keys(connection, keys);
        sql.exec(lock_states_of(tables, rows));
        sql.exec(delete_orphans_of(tables, rows));
        sql.commit();
    }
}

} // namespace pgstate::cli
