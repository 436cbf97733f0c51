#include "import_batch.hpp"

#include "documents.hpp"
#include <pgstate/rfc3339.hpp>

#include <pqxx/connection>
#include <pqxx/result>

#include <array>
#include <span>
#include <utility>

namespace pgstate::cli {
namespace {

constexpr std::size_t most_lines = 500;
constexpr std::size_t most_bytes_sent = std::size_t{4} << 20;

/// Whether the row `t` differs from `other` in anything but its version.
std::string differs_from(const history_tables& tables, const std::string& other) {
    return "(" + whole_document(tables, "t") +
           " - 'version', t.created_at, t.updated_at, t.expires_at) IS DISTINCT FROM (" + other +
           ".state - 'version', " + other + ".created_at, " + other + ".updated_at, " + other +
           ".expires_at)";
}

} // namespace

void import_batch::add(std::string text, const detail::row_members& row, std::size_t number) {
    bytes_ += text.size();
    lines_.push_back({std::move(text), {{}, {}, row.created_at, row.updated_at, row.expires_at}, number});
}

bool import_batch::full() const noexcept {
    return lines_.size() >= most_lines || bytes_ >= most_bytes_sent;
}

/// Some of the lines as rows `n`. Their times have been read already: the server would take more than RFC 3339.
std::string import_batch::rows(pqxx::work& sql, std::size_t first, std::size_t count) const {
    std::string documents = "[";
    std::array<std::string, 3> times;
    for (const auto& each : std::span(lines_).subspan(first, count)) {
        documents.append(documents.size() == 1 ? "" : ",").append(each.text);
        const std::array given{each.row.created_at, each.row.updated_at, each.row.expires_at};
        for (std::size_t i = 0; i < times.size(); ++i)
            times[i].append(times[i].empty() ? "" : ",").append(given[i] ? to_rfc3339(*given[i]) : "NULL");
    }
    auto from = "ROWS FROM (jsonb_array_elements(" + sql.quote(documents + "]") + "::jsonb)";
    for (const auto& column : times)
        from += ", unnest('{" + column + "}'::timestamptz[])";
    return "(SELECT d ->> 'agent_id' AS agent_id, d ->> 'session_id' AS session_id, " + stored_document("d") +
           " AS state, coalesce(created_at, now()) AS created_at, coalesce(updated_at, now()) AS updated_at,"
           " expires_at FROM " +
           from + ") AS x(d, created_at, updated_at, expires_at)) AS n";
}

// A row that has expired counts as none. Versions are the table's: one that came along could be drawn there again, and a
// stale writer could then take the state for its own.
std::string import_batch::statement(const history_tables& tables, const std::string& rows) const {
    std::string sql =
        "INSERT INTO " + tables.table +
        " AS t (agent_id, session_id, state, created_at, updated_at, expires_at)"
        " SELECT agent_id, session_id, state, created_at, updated_at, expires_at FROM " +
        rows +
        " WHERE expires_at IS NULL OR expires_at > now() ORDER BY agent_id, session_id"
        " ON CONFLICT (agent_id, session_id) DO UPDATE SET state = EXCLUDED.state,"
        " created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at,"
        " version = DEFAULT, expires_at = EXCLUDED.expires_at,"
        " write_version = coalesce(t.write_version, t.version)" + // as writers without a name do
        (tables.in_rows ? ", epoch = NULL, messages = NULL" : "") +
        " WHERE t.expires_at <= now()";
    if (conflict_ == on_conflict::replace) sql += " OR " + differs_from(tables, "EXCLUDED");
    return sql;
}

/// How many were written.
std::int64_t import_batch::write_lines(pqxx::work& sql, const history_tables& tables, std::size_t first,
                                       std::size_t count) const {
    const auto given = rows(sql, first, count);
    // What looks at messages comes behind what locks the states.
    if (tables.in_rows)
        sql.exec("SELECT 1 FROM " + given + " JOIN " + tables.table +
                 " AS t USING (agent_id, session_id) ORDER BY t.agent_id COLLATE \"C\","
                 " t.session_id COLLATE \"C\" FOR NO KEY UPDATE OF t");
    const auto written = static_cast<std::int64_t>(sql.exec(statement(tables, given)).affected_rows());
    if (conflict_ == on_conflict::fail && written < static_cast<std::int64_t>(count)) {
        const auto others =
            sql.exec("SELECT 1 FROM " + given + " JOIN " + tables.table +
                     " AS t USING (agent_id, session_id) WHERE (t.expires_at IS NULL OR t.expires_at > now())"
                     " AND " +
                     differs_from(tables, "n") + " LIMIT 1");
        if (!others.empty()) throw error(errc::conflict, "import");
    }
    return written;
}

import_counts import_batch::write(pqxx::connection& connection, std::atomic<std::size_t>* culprit) const {
    pqxx::work sql(connection);
    sql.exec("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"); // whatever the role's default is
    auto tables = tables_;
    tables.look(sql);
    import_counts done{static_cast<std::int64_t>(lines_.size()), 0};
    if (!culprit) done.written = write_lines(sql, tables, 0, lines_.size());
    for (std::size_t i = 0; culprit && i < lines_.size(); ++i) {
        *culprit = lines_[i].number;
        done.written += write_lines(sql, tables, i, 1);
    }
    sql.commit();
    return done;
}

bool import_batch::may_hold_a_culprit(const error& e) const {
    const auto& state = e.sqlstate();
    constexpr auto twice_in_one_statement = "21000";
    return e == errc::conflict || state == twice_in_one_statement || state.starts_with("22") ||
           state.starts_with("23") || state.starts_with("54");
}

} // namespace pgstate::cli
