#include "store/sql_text.hpp"

namespace pgstate::store {

namespace {

constexpr std::string_view clock_now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
constexpr std::string_view transaction_began = "(extract(epoch FROM now()) * 1000000)::bigint";
constexpr std::string_view statement_began = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint";

/// What PostgreSQL quotes in its refusal, whatever its language.
constexpr std::string_view too_late = "pgstate: made too late";

/// An erase waits for more than a row may take to be made, so that the two never meet in a microsecond.
constexpr std::chrono::microseconds pause_margin{1000};

/// Another column of what makes rows: fails where a row was made later than it may be. One made anew over an expired one
/// looks the same, and need not fail, but may.
std::string unless_too_late() {
    return std::string(", CASE WHEN t.created_at = now() AND ")
        .append(clock_now)
        .append(" > t.version + ")
        .append(std::to_string(sql_text::made_within.count()))
        .append(" THEN ('")
        .append(too_late)
        .append("' || t.version)::bigint END");
}

/// Another column of what erases rows: keeps the transaction open until their versions are old enough. It is not for
/// versions that are ahead of the clock.
std::string pause_while_young() {
    const auto least = std::to_string((sql_text::made_within + pause_margin).count());
    return std::string(", CASE WHEN ")
        .append(clock_now)
        .append(" < t.version + ")
        .append(least)
        .append(" THEN pg_sleep((least(t.version - ")
        .append(clock_now)
        .append(", 0) + ")
        .append(least)
        .append(") / 1e6) END");
}

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

constexpr std::string_view inserted_columns =
    "(agent_id, session_id, state, created_at, updated_at, version, expires_at, write_name) ";
/// Of a claimed row, after its key.
constexpr std::string_view claimed_columns =
    "'{}'::jsonb, now(), now(), 0::bigint, '-infinity'::timestamptz, NULL::bigint";

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

std::string_view sql_text::new_version() const noexcept {
    return kept_ == versioning::timed ? clock_now : statement_began;
}

bool sql_text::made_too_late(std::string_view sqlstate, std::string_view message) noexcept {
    return sqlstate == "22P02" && message.find(too_late) != message.npos;
}

bool sql_text::disliked_row(std::string_view sqlstate) noexcept {
    const auto kind = sqlstate.substr(0, 2);
    return kind == "22" || kind == "23" || kind == "44" || kind == "P0" || sqlstate == "42501";
}

std::string sql_text::claimed_row() {
    return std::string("VALUES ($1, $2, ").append(claimed_columns).append(")");
}

std::string sql_text::claimed_rows() {
    return std::string("SELECT u.a, u.s, ")
        .append(claimed_columns)
        .append(" FROM unnest($1::text[], $2::text[]) AS u(a, s) ORDER BY ")
        .append(in_order_of_input);
}

// DO UPDATE locks the row that is there, whatever its condition (PostgreSQL manual, "INSERT").
std::string sql_text::claim(std::string_view source) const {
    return std::string("INSERT INTO ")
        .append(table_)
        .append(" AS t ")
        .append(inserted_columns)
        .append(source)
        .append(" ON CONFLICT (agent_id, session_id) DO UPDATE SET write_name = t.write_name WHERE false");
}

std::string sql_text::one_row(std::string_view document, std::string_view expiry,
                              std::string_view name) const {
    return std::string("VALUES ($1, $2, ")
        .append(document)
        .append(", now(), now(), ")
        .append(new_version())
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
    std::string sql = "INSERT INTO " + table_ + " AS t ";
    sql.append(inserted_columns)
        .append(source)
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
    sql.append(" RETURNING ").append(returning);
    return kept_ == versioning::timed ? sql + unless_too_late() : sql;
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
        .append(statement_began)
        .append("), expires_at = ")
        .append(expiry)
        .append(", write_name = ")
        .append(name)
        .append(from)
        .append(where_alive(condition, name, returning));
}

std::string sql_text::erase(std::string_view using_, std::string_view condition, std::string_view name,
                            std::string_view returning) const {
    auto sql = std::string("DELETE FROM ")
                   .append(table_)
                   .append(" AS t")
                   .append(using_)
                   .append(where_alive(condition, name, returning));
    return kept_ == versioning::timed ? sql + pause_while_young() : sql;
}

std::string sql_text::select(std::string_view columns, std::string_view from,
                             std::string_view condition) const {
    std::string sql =
        std::string("SELECT ").append(columns).append(" FROM ").append(from).append(table_).append(" AS t");
    if (!condition.empty()) sql.append(condition);
    return sql;
}

// Whether it is its turn is an advisory lock until the transaction ends, on a hash of the table's oid: it works behind
// poolers, and however the table's name is written. It is known before a row is read. A row that somebody else has locked is
// passed over; one that has changed since the statement began is looked at anew, here and where it is deleted.
std::string sql_text::sweep() const {
    const auto over = std::string("t.expires_at <= now() AND t.version < ")
                          .append(transaction_began)
                          .append(" - ")
                          .append(std::to_string(made_within.count()));
    return std::string("WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtextextended("
                       "'pgstate sweep ' || ")
        .append(quote_literal(table_))
        .append("::regclass::oid, 0)) AS got)"
                ", doomed AS MATERIALIZED (SELECT t.agent_id, t.session_id FROM ")
        .append(table_)
        .append(" AS t WHERE (SELECT got FROM turn) AND ")
        .append(over)
        .append(" ORDER BY t.expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)"
                ", gone AS (DELETE FROM ")
        .append(table_)
        .append(" AS t USING doomed AS d WHERE t.agent_id = d.agent_id AND t.session_id = d.session_id AND ")
        .append(over)
        .append(" RETURNING 1)"
                " SELECT count(*), (SELECT got FROM turn) FROM gone");
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
