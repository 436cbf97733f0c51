#include "sql/table_sql.hpp"

#include "sql/history_sql.hpp"

namespace pgstate::sql {
namespace {

// Citus refuses now() in DO UPDATE: the time of the row that was to be inserted is the same.
constexpr std::string_view expired = "t.expires_at <= EXCLUDED.updated_at";

/// The end of every statement that changes existing rows.
std::string where_alive(std::string_view condition, std::string_view returning) {
    return std::string(" WHERE ")
        .append(condition)
        .append(" AND ")
        .append(table_sql::alive)
        .append(" RETURNING ")
        .append(returning);
}

std::string if_expired(std::string_view of_expired, std::string_view of_living) {
    if (of_expired == of_living) return std::string(of_expired);
    return std::string("CASE WHEN ")
        .append(expired)
        .append(" THEN ")
        .append(of_expired)
        .append(" ELSE ")
        .append(of_living)
        .append(" END");
}

} // namespace

std::string table_sql::expiry_in(std::string_view milliseconds) {
    return std::string("now() + nullif(").append(milliseconds).append(", 0) * interval '1 millisecond'");
}

std::string table_sql::expiry_or_kept(std::string_view milliseconds) {
    return "coalesce(" + expiry_in(milliseconds) + ", t.expires_at)";
}

std::string table_sql::one_row(std::string_view document, std::string_view expiry, std::string_view name,
                               std::string_view epoch) {
    return std::string("VALUES ($1, $2, ")
        .append(document)
        .append(", now(), now(), ")
        .append(expiry)
        .append(name.empty() ? "" : ", ")
        .append(name)
        .append(name.empty() ? "" : "::uuid")
        .append(epoch)
        .append(")");
}

std::string table_sql::set_name(std::string_view name) const {
    if (by_ == writer::nameless) return ", write_version = coalesce(t.write_version, t.version)";
    return std::string(", write_name = ").append(name).append(", write_version = NULL");
}

std::string table_sql::insert(std::string_view source, existing what, std::string_view returning) const {
    return insert_or_change(source, "EXCLUDED.state",
                            what == existing::renewed ? "t.expires_at" : "EXCLUDED.expires_at",
                            what == existing::unchanged ? "false" : "", returning);
}

std::string table_sql::insert_or_change(std::string_view source, std::string_view document,
                                        std::string_view expiry, std::string_view guard,
                                        std::string_view returning, history what) const {
    std::string sql = "INSERT INTO " + table_ + " AS t ";
    sql.append("(agent_id, session_id, state, created_at, updated_at, expires_at")
        .append(by_ == writer::named ? ", write_name" : "")
        .append(histories_.may_be_in_rows() ? ", epoch, messages) " : ") ")
        .append(source)
        .append(" ON CONFLICT (agent_id, session_id) DO UPDATE SET state = ")
        .append(if_expired("EXCLUDED.state", document))
        .append(", created_at = ")
        .append(if_expired("EXCLUDED.created_at", "t.created_at"))
        .append(", updated_at = EXCLUDED.updated_at, version = DEFAULT, expires_at = ")
        .append(if_expired("EXCLUDED.expires_at", expiry))
        .append(set_name("EXCLUDED.write_name"));
    if (histories_.may_be_in_rows()) {
        const bool replaced = what == history::replaced;
        sql.append(", epoch = ")
            .append(if_expired("EXCLUDED.epoch", replaced ? "EXCLUDED.epoch" : "t.epoch"))
            .append(", messages = ")
            .append(if_expired("EXCLUDED.messages", replaced ? "EXCLUDED.messages"
                                                    : what == history::kept
                                                        ? "t.messages"
                                                        : "t.messages + EXCLUDED.messages"));
    }
    if (!guard.empty()) sql.append(" WHERE ").append(expired).append(" OR (").append(guard).append(")");
    return sql.append(" RETURNING ").append(returning);
}

std::string table_sql::replace(std::string_view document, std::string_view expiry, std::string_view from,
                               std::string_view condition, std::string_view name, std::string_view returning,
                               std::string_view also) const {
    return change(std::string("state = ").append(document).append(also), expiry, from, condition, name,
                  returning);
}

std::string table_sql::change(std::string_view assignments, std::string_view expiry, std::string_view from,
                              std::string_view condition, std::string_view name,
                              std::string_view returning) const {
    return std::string("UPDATE ")
        .append(table_)
        .append(" AS t SET ")
        .append(assignments)
        .append(", updated_at = now(), version = DEFAULT, expires_at = ")
        .append(expiry)
        .append(set_name(name))
        .append(from)
        .append(where_alive(condition, returning));
}

std::string table_sql::extend(std::string_view document, std::string_view ttl, std::string_view messages,
                              std::string_view version, std::string_view name,
                              std::string_view returning) const {
    const auto whole = std::string("jsonb_set(")
                           .append(document)
                           .append(", '{history}', ")
                           .append(history_sql::stored)
                           .append(" || (")
                           .append(document)
                           .append(" -> 'history'))");
    const auto condition = std::string(by_key)
                               .append(" AND (")
                               .append(version)
                               .append(" IS NULL OR t.version = ")
                               .append(version)
                               .append(") AND CASE WHEN ")
                               .append(by_key) // first, so that no other row's document is read
                               .append(" THEN ")
                               .append(history_sql::count_in("t.state"))
                               .append(" = ")
                               .append(messages)
                               .append(of_document())
                               .append(" END");
    return replace(whole, expiry_or_kept(ttl), "", condition, name, returning);
}

std::string table_sql::touch(std::string_view expiry, std::string_view condition,
                             std::string_view returning) const {
    return std::string("UPDATE ")
        .append(table_)
        .append(" AS t SET expires_at = ")
        .append(expiry)
        .append(where_alive(condition, returning));
}

std::string table_sql::erase(std::string_view using_, std::string_view condition,
                             std::string_view returning) const {
    return std::string("DELETE FROM ")
        .append(table_)
        .append(" AS t")
        .append(using_)
        .append(where_alive(condition, returning));
}

std::string table_sql::select(std::string_view columns, std::string_view from,
                              std::string_view condition) const {
    return std::string("SELECT ")
        .append(columns)
        .append(" FROM ")
        .append(from)
        .append(table_)
        .append(" AS t")
        .append(condition);
}

namespace {

constexpr std::string_view swept_row = "(t.expires_at, t.agent_id, t.session_id)";
constexpr std::string_view swept_columns = "t.expires_at, t.agent_id, t.session_id";

/// The expired rows, in the order in which they are deleted. NULL for a position: there is no such limit.
std::string expired_rows(std::string_view table, std::string_view condition) {
    return std::string("SELECT ")
        .append(swept_columns)
        .append(" FROM ")
        .append(table)
        .append(" AS t WHERE ")
        .append(condition)
        .append("t.expires_at <= now() AND ($2::timestamptz IS NULL OR ")
        .append(swept_row)
        .append(" > ($2, $3, $4))");
}

/// The end of the two: what they found.
std::string found_rows(std::string_view deleted, std::string_view held) {
    return std::string(
               ", last AS (SELECT * FROM found ORDER BY expires_at DESC, agent_id DESC, session_id DESC LIMIT 1)"
               " SELECT ")
        .append(deleted)
        .append(", ")
        .append(held)
        .append(", (SELECT count(*) FROM found), last.expires_at, last.agent_id, last.session_id"
                " FROM (SELECT 1) AS one LEFT JOIN last ON true");
}

} // namespace

// The sweep lock is an advisory lock until the transaction ends, on a hash of the table's oid: it works behind poolers, and
// for every way to write the table's name. It is taken before a row is read. A row that another transaction has locked is
// passed over. A row that has changed since the statement began is checked again, here and where it is deleted.
std::string table_sql::sweep() const {
    return std::string("WITH lock AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended("
                       "'pgstate sweep ' || ")
        .append(quote_literal(table_))
        .append("::regclass::oid, 0)) AS held), found AS MATERIALIZED (")
        .append(expired_rows(table_, "(SELECT held FROM lock) AND "))
        .append(" AND ($5::timestamptz IS NULL OR ")
        .append(swept_row)
        .append(" <= ($5, $6, $7)) ORDER BY ")
        .append(swept_columns)
        .append(" LIMIT $1 FOR UPDATE SKIP LOCKED), gone AS (DELETE FROM ")
        .append(table_)
        .append(" AS t USING found AS d WHERE t.agent_id = d.agent_id AND t.session_id = d.session_id AND "
                "t.expires_at <= now() RETURNING 1)")
        .append(found_rows("(SELECT count(*) FROM gone)", "(SELECT held FROM lock)"));
}

std::string table_sql::survey_expired() const {
    return std::string("WITH found AS MATERIALIZED (")
        .append(expired_rows(table_, ""))
        .append(" ORDER BY ")
        .append(swept_columns)
        .append(" LIMIT $1)")
        .append(found_rows("0::bigint", "true"));
}

std::string quote_literal(std::string_view text) {
    std::string quoted = "E'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') quoted += c;
        quoted += c;
    }
    return quoted += '\'';
}

} // namespace pgstate::sql
