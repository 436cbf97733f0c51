#include "checks.hpp"

#include "text.hpp"

#include <cstddef>

namespace pgstate::cli {
namespace {

using result = std::optional<finding>;

result fine(std::string found) {
    return finding{severity::ok, std::move(found)};
}

result advise(std::string found, std::string what_to_do) {
    return finding{severity::advice, std::move(found), std::move(what_to_do)};
}

result skip(std::string found, std::string what_to_do = "run it as a role that may read the table and its "
                                                        "sequence, with a longer --timeout") {
    return finding{severity::skipped, std::move(found), std::move(what_to_do)};
}

constexpr auto as_who_sees_all =
    "run it as a role that sees all rows: the table's owner, or one with BYPASSRLS";
constexpr auto without_pooler = "run it on the pooler's machine, straight to the server and to the pooler";

result problem(std::string found, std::string what_to_do) {
    return finding{severity::problem, std::move(found), std::move(what_to_do)};
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
    std::string all;
    for (const auto& part : parts)
        all.append(all.empty() ? std::string_view() : separator).append(part);
    return all;
}

std::string percent(std::int64_t part, std::int64_t whole) {
    return std::to_string(whole == 0 ? 0 : part * 100 / whole) + " %";
}

result check_connection(const facts& read) {
    constexpr auto slow = std::chrono::milliseconds(50);
    const auto found = "PostgreSQL " + std::to_string(read.server_version / 10'000) + "." +
                       std::to_string(read.server_version % 10'000) + " answers in " +
                       std::to_string(read.round_trip.count()) + " µs";
    if (read.round_trip > slow)
        return advise(found,
                      "every operation waits at least that long: run the program closer to the server");
    return fine(found);
}

result check_version(const facts& read) {
    constexpr int oldest = 140'000;
    if (read.server_version >= oldest) return std::nullopt;
    return problem("the server is older than PostgreSQL 14",
                   "upgrade it: the PostgreSQL project no longer maintains it");
}

result check_primary(const facts& read) {
    constexpr auto todo =
        "add target_session_attrs=read-write and all hosts to the connection string, so that the"
        " primary is found";
    if (read.standby) return problem("the server is a standby: nothing can be saved", todo);
    if (read.read_only) return problem("the session is read-only (default_transaction_read_only)", todo);
    return fine("the server is a primary");
}

result check_tls(const facts& read) {
    if (read.pooler) return skip("the connection to the pooler was not looked at", without_pooler);
    if (!read.tls.empty()) return fine("the connection is encrypted (" + read.tls + ")");
    if (!read.over_network) return fine("the connection is local and not encrypted");
    return advise("the connection goes over a network and is not encrypted",
                  "set sslmode=verify-full and sslrootcert in the connection string");
}

result check_pooler(const facts& read) {
    if (!read.pooler) return fine("no pooler in between");
    return advise(
        "there is a pooler in between",
        "in transaction mode without prepared statements (PgBouncer before 1.21), set config.tuning.statements ="
        " statement_mode::unnamed; writes whose connection is lost are settled less often");
}

result check_schema(const facts& read) {
    if (!read.exists) return problem("table " + read.table + " does not exist", "run 'pgstate migrate'");
    if (!read.refusals.empty())
        return problem(joined(read.refusals, "; "),
                       "alter the table by hand, or use another: a migration does not"
                       " touch this");
    if (!read.missing.empty()) return problem(joined(read.missing, "; "), "run 'pgstate migrate'");
    return fine("the table and its indexes are as they should be");
}

result check_privileges(const facts& read) {
    if (!read.exists) return std::nullopt;
    const auto& of_table = read.missing_privileges;
    const auto& of_messages = read.missing_on_messages;
    if (of_table.empty() && of_messages.empty())
        return fine("role " + read.role + " may select, insert, update and delete");
    std::vector<std::string> lacks;
    std::vector<std::string> grants;
    const auto add = [&](const std::vector<std::string>& missing, const std::string& table,
                         const char* where) {
        if (missing.empty()) return;
        const auto list = joined(missing, ", ");
        lacks.push_back(list + where);
        grants.push_back("GRANT " + list + " ON " + table + " TO " + read.role);
    };
    add(of_table, read.table, "");
    add(of_messages, read.messages_table, " on the table of messages");
    return problem("role " + read.role + " lacks " + joined(lacks, ", and "), joined(grants, "; "));
}

result check_migration_rights(const facts& read) {
    if (read.exists ? read.owns_table : read.may_create) return fine("the role may run migrations");
    return advise(read.exists ? "the role does not own the table, so it cannot run migrations"
                              : "the role may not create tables in the schema",
                  "let the owner run 'pgstate migrate', or what 'pgstate schema' prints");
}

result check_row_security(const facts& read) {
    if (!read.exists) return std::nullopt;
    switch (read.policies) {
    case facts::row_security::none: return fine("the table has no row-level security");
    case facts::row_security::applies: return fine("row-level security applies to role " + read.role);
    case facts::row_security::bypassed: break;
    }
    return advise(
        "the table has row-level security, but role " + read.role + " bypasses it and sees every row",
        "let programs connect as a role that is no superuser, has no BYPASSRLS and does not own the table;"
        " ALTER TABLE " +
            read.table + " FORCE ROW LEVEL SECURITY binds its owner too");
}

result check_invalid_indexes(const facts& read) {
    if (!read.exists) return std::nullopt;
    if (read.invalid_indexes.empty()) return fine("no invalid index");
    return problem("not valid, but kept up by every write: " + joined(read.invalid_indexes, ", "),
                   "a CREATE INDEX CONCURRENTLY has failed: DROP INDEX CONCURRENTLY, and try again");
}

constexpr auto no_statistics = "the server keeps no statistics of the table";
constexpr auto keep_statistics = "set track_counts = on, which autovacuum needs as well";

result check_bloat(const facts& read) {
    if (!read.exists) return std::nullopt;
    if (!read.counted) return skip(no_statistics, keep_statistics);
    constexpr std::int64_t few = 10'000;
    const auto all = read.live_rows + read.dead_rows;
    const auto found = grouped(read.dead_rows) + " dead rows (" + percent(read.dead_rows, all) +
                       "), last vacuum: " + (read.last_vacuum.empty() ? "never" : read.last_vacuum);
    if (read.dead_rows < few || read.dead_rows * 5 < all) return fine(found);
    return advise(found, "VACUUM " + read.table + ", and let autovacuum come earlier: ALTER TABLE " +
                             read.table + " SET (autovacuum_vacuum_scale_factor = 0.05)");
}

result check_hot_updates(const facts& read) {
    if (!read.exists) return std::nullopt;
    if (!read.counted) return skip(no_statistics, keep_statistics);
    constexpr std::int64_t few = 1'000;
    if (read.updates < few) return fine("too few updates to judge how many are heap-only");
    const auto found =
        percent(read.hot_updates, read.updates) + " of " + grouped(read.updates) + " updates were heap-only";
    if (read.hot_updates * 2 >= read.updates) return fine(found);
    if (read.lean)
        return advise(found,
                      "free space for them is missing: ALTER TABLE " + read.table +
                          " SET (fillfactor = 70), and drop indexes on columns that every save changes");
    return advise(found,
                  "every save writes to each index. Where nobody lists or finds by time, use lean indexes"
                  " (index_mode::lean): drop the index on updated_at and ALTER TABLE " +
                      read.table + " SET (fillfactor = 70)");
}

/// COPY, logical replication, TRUNCATE ... RESTART IDENTITY and a promotion can leave rows above the sequence.
result check_versions(const facts& read) {
    if (!read.exists || !read.refusals.empty()) return std::nullopt;
    if (!read.newest_version || !read.last_drawn)
        return skip(
            "the version's sequence was not compared with the rows: not readable, or not within --timeout");
    if (*read.newest_version <= *read.last_drawn && read.policies == facts::row_security::applies)
        return skip("only rows that row-level security shows were compared with the version's sequence",
                    as_who_sees_all);
    if (*read.newest_version <= *read.last_drawn) return fine("no row is above the version's sequence");
    return problem("the version's sequence has drawn " + grouped(*read.last_drawn) +
                       ", but there are versions up to " + grouped(*read.newest_version) +
                       ", which it would draw again",
                   "run 'pgstate doctor --mend', which advances the sequence");
}

result check_expired(const facts& read) {
    if (!read.exists) return std::nullopt;
    constexpr std::int64_t few = 1'000;
    if (!read.expired_rows)
        return skip("expired states were not counted: not readable, or not within --timeout");
    const bool more = *read.expired_rows >= most_expired;
    const auto found =
        (more ? "at least " : "") + grouped(*read.expired_rows) + " expired states are still in the table";
    if (*read.expired_rows < few && read.policies == facts::row_security::applies)
        return skip("only expired states that row-level security shows were counted", as_who_sees_all);
    if (*read.expired_rows < few) return fine(found);
    return advise(found, "set config.sweep.period in one program, or DELETE FROM " + read.table +
                             " WHERE expires_at < now() - interval '1 second'");
}

/// Writers whose triggers do not fire (session_replication_role = replica, disabled triggers) leave messages behind, and a
/// statement on the table of messages changes what states and checkpoints count.
result check_histories(const facts& read) {
    if (!read.exists || !read.histories_in_rows) return std::nullopt;
    const auto named = [](const histories_seen& seen) {
        const bool more = seen.count >= most_histories_counted;
        const bool all = seen.which.size() == static_cast<std::size_t>(seen.count);
        return (more ? "at least " : "") + grouped(seen.count) + " (" + joined(seen.which, "; ") +
               (all ? ")" : "; and others)");
    };
    if (read.incomplete && read.incomplete->count > 0)
        return problem("states and checkpoints with another number of messages than they say: " +
                           named(*read.incomplete),
                       "restore a checkpoint, or save or erase the state: a load of it fails");
    if (read.orphans && read.orphans->count > 0)
        return advise("histories that no state and no checkpoint has: " + named(*read.orphans),
                      "run 'pgstate doctor --mend', which deletes their messages");
    if (read.policies == facts::row_security::applies)
        return skip("row-level security hides states, so that messages were not compared with them",
                    as_who_sees_all);
    if (!read.orphans || !read.incomplete)
        return skip("messages were not compared with the states: not readable, or not within --timeout");
    return fine("every history in rows is whole, and belongs to a state or a checkpoint");
}

/// As a program reads them: what other writers left there may be no state.
result check_rows(const facts& read) {
    if (!read.exists) return std::nullopt;
    if (!read.rows) return skip("no row was read: not readable, or not within --timeout");
    const auto& rows = *read.rows;
    if (rows.unreadable > 0)
        return problem(
            grouped(rows.unreadable) + " of " + grouped(rows.read) +
                " rows cannot be read: " + joined(rows.which, "; ") +
                (rows.unreadable > static_cast<std::int64_t>(rows.which.size()) ? "; and others" : ""),
            "mend or erase them by SQL: a load of one fails, and so does what comes across one");
    if (!rows.all)
        return skip(
            "the first " + grouped(rows.read) +
            " rows can be read, the others were not looked at: not readable, or not within --timeout");
    if (read.policies == facts::row_security::applies)
        return skip("the " + grouped(rows.read) + " rows that row-level security shows can be read",
                    as_who_sees_all);
    return fine("every row can be read (" + grouped(rows.read) + ")");
}

result check_connections(const facts& read) {
    const auto size = static_cast<std::int64_t>(read.pool_size);
    const auto usable = read.max_connections - read.reserved_connections;
    const auto free = usable - read.used_connections;
    const auto found = "a pool of " + std::to_string(size) + " (pool_max_conns); " +
                       std::to_string(read.used_connections) + " of the server's " + std::to_string(usable) +
                       " connections are in use";
    if (read.pooler)
        return skip("the pooler's own connections are what counts, and were not looked at", without_pooler);
    if (size > usable)
        return problem(found,
                       "set pool_max_conns to less, or raise max_connections: the pool can never be full");
    if (size > free)
        return advise(found,
                      "there is no room for another pool of that size: lower pool_max_conns, or put a pooler"
                      " in between");
    return fine(found);
}

result check_durability(const facts& read) {
    if (!read.fsync || !read.full_page_writes)
        return problem(read.fsync ? "full_page_writes is off" : "fsync is off",
                       "a crash of the machine can destroy the whole database: turn it on");
    if (read.unlogged)
        return problem("the table, or a partition of it, is UNLOGGED: a crash of the server empties it",
                       "ALTER TABLE " + read.table + " SET LOGGED, or the same for the partition");
    if (read.synchronous_commit == "off")
        return advise(
            "synchronous_commit is off",
            "a crash loses the last saves, though programs were told that they are done: turn it on unless"
            " that is what you want");
    if (!read.exists) return fine("the server's commits are durable");
    return fine("commits are durable");
}

} // namespace

std::pair<std::string_view, std::string_view> name_and_color(severity s) noexcept {
    constexpr std::pair<std::string_view, std::string_view> all[] = {
        {"ok", "32"}, {"skipped", "36"}, {"advice", "33"}, {"problem", "31"}};
    return all[static_cast<std::size_t>(s)];
}

const std::vector<check>& checks() {
    static const std::vector<check> all{
        {"connection", check_connection},
        {"version", check_version},
        {"primary", check_primary},
        {"tls", check_tls},
        {"pooler", check_pooler},
        {"connections", check_connections},
        {"durability", check_durability},
        {"schema", check_schema},
        {"privileges", check_privileges},
        {"row-security", check_row_security},
        {"migrations", check_migration_rights},
        {"invalid-indexes", check_invalid_indexes},
        {"bloat", check_bloat},
        {"heap-only-updates", check_hot_updates},
        {"versions", check_versions},
        {"expired", check_expired},
        {"histories", check_histories},
        {"rows", check_rows},
    };
    return all;
}

} // namespace pgstate::cli
