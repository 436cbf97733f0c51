#include "store/sql_text.hpp"

namespace pgstate::store {

namespace {

// Citus refuses now() in DO UPDATE: the time of the row that was to be inserted is the same.
constexpr std::string_view expired = "t.expires_at <= EXCLUDED.updated_at";

/// What was sent and given up, and comes late, must not undo what the same store wrote after it.
std::string in_turn(std::string_view name) {
    return std::string("(t.write_name > ")
        .append(name)
        .append(" AND t.write_name >> 32 = ")
        .append(name)
        .append(" >> 32) IS NOT TRUE");
}

/// The end of every statement that changes rows which are there.
std::string where_alive(std::string_view condition, std::string_view name, std::string_view returning) {
    return std::string(" WHERE ")
        .append(condition)
        .append(" AND ")
        .append(sql_text::alive)
        .append(" AND ")
        .append(in_turn(name))
        .append(" RETURNING ")
        .append(returning);
}

} // namespace

std::string sql_text::expiry_in(std::string_view milliseconds) {
    return std::string("now() + nullif(").append(milliseconds).append(", 0) * interval '1 millisecond'");
}

std::string sql_text::one_row(std::string_view document, std::string_view expiry, std::string_view name) {
    return std::string("VALUES ($1, $2, ")
        .append(document)
        .append(", now(), now(), ")
        .append(new_version)
        .append(", ")
        .append(expiry)
        .append(", ")
        .append(name)
        .append("::bigint)");
}

std::string sql_text::insert(std::string_view source, existing what, std::string_view returning) const {
    return insert_or_change(source, "EXCLUDED.state", "EXCLUDED.expires_at",
                            what == existing::kept ? "false" : "", returning);
}

std::string sql_text::insert_or_change(std::string_view source, std::string_view document,
                                       std::string_view expiry, std::string_view guard,
                                       std::string_view returning) const {
    const auto if_expired = [](std::string_view made, std::string_view kept) {
        if (made == kept) return std::string(made);
        return std::string("CASE WHEN ")
            .append(expired)
            .append(" THEN ")
            .append(made)
            .append(" ELSE ")
            .append(kept)
            .append(" END");
    };
    std::string sql =
        "INSERT INTO " + table_ +
        " AS t (agent_id, session_id, state, created_at, updated_at, version, expires_at, write_name) ";
    sql.append(source)
        .append(" ON CONFLICT (agent_id, session_id) DO UPDATE SET state = ")
        .append(if_expired("EXCLUDED.state", document))
        .append(", created_at = ")
        .append(if_expired("EXCLUDED.created_at", "t.created_at"))
        .append(", updated_at = EXCLUDED.updated_at, version = greatest(t.version + 1, EXCLUDED.version)"
                ", expires_at = ")
        .append(if_expired("EXCLUDED.expires_at", expiry))
        .append(", write_name = EXCLUDED.write_name WHERE ")
        .append(in_turn("EXCLUDED.write_name"));
    if (!guard.empty()) sql.append(" AND (").append(expired).append(" OR (").append(guard).append("))");
    return sql.append(" RETURNING ").append(returning);
}

std::string sql_text::touch(std::string_view expiry, std::string_view condition, std::string_view name,
                            std::string_view returning) const {
    return std::string("UPDATE ")
        .append(table_)
        .append(" AS t SET expires_at = ")
        .append(expiry)
        .append(", write_name = ")
        .append(name)
        .append(where_alive(condition, name, returning));
}

std::string sql_text::replace(std::string_view document, std::string_view expiry, std::string_view from,
                              std::string_view condition, std::string_view name,
                              std::string_view returning) const {
    return std::string("UPDATE ")
        .append(table_)
        .append(" AS t SET state = ")
        .append(document)
        .append(", updated_at = now(), version = greatest(t.version + 1, ")
        .append(new_version)
        .append("), expires_at = ")
        .append(expiry)
        .append(", write_name = ")
        .append(name)
        .append(from)
        .append(where_alive(condition, name, returning));
}

std::string sql_text::erase(std::string_view using_, std::string_view condition, std::string_view name,
                            std::string_view returning) const {
    return std::string("DELETE FROM ")
        .append(table_)
        .append(" AS t")
        .append(using_)
        .append(where_alive(condition, name, returning));
}

std::string sql_text::select(std::string_view columns, std::string_view from,
                             std::string_view condition) const {
    std::string sql =
        std::string("SELECT ").append(columns).append(" FROM ").append(from).append(table_).append(" AS t");
    if (!condition.empty()) sql.append(condition);
    return sql;
}

// The claim is an advisory lock until the transaction ends, on a hash of the table's oid: it works behind poolers, and
// however the table's name is written. Whether it was got is known before a row is read. A row that somebody else has
// locked is passed over; one that has changed since the statement began is looked at anew, here and where it is deleted.
std::string sql_text::sweep() const {
    return std::string("WITH claim AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended("
                       "'pgstate sweep ' || ")
        .append(quote_literal(table_))
        .append("::regclass::oid, 0)) AS got)"
                ", doomed AS MATERIALIZED (SELECT t.agent_id, t.session_id FROM ")
        .append(table_)
        .append(" AS t WHERE (SELECT got FROM claim) AND t.expires_at <= now()"
                " ORDER BY t.expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)"
                ", gone AS (DELETE FROM ")
        .append(table_)
        .append(" AS t USING doomed AS d WHERE t.agent_id = d.agent_id AND t.session_id = d.session_id"
                " AND t.expires_at <= now() RETURNING 1)"
                " SELECT count(*), (SELECT got FROM claim) FROM gone");
}

std::string quote_literal(std::string_view text) {
    std::string quoted = "E'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') quoted += c;
        quoted += c;
    }
    return quoted += '\'';
}

} // namespace pgstate::store
