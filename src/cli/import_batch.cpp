#include "import_batch.hpp"

#include "documents.hpp"

#include <pqxx/connection>
#include <pqxx/result>
#include <pqxx/transaction>

#include <utility>

namespace pgstate::cli {
namespace {

constexpr std::size_t most_lines = 500;
constexpr std::size_t most_bytes_sent = std::size_t{4} << 20;

/// Whether the row `t` differs from `other` in anything but its version.
std::string differs_from(const std::string& other) {
    return "(t.state - 'version', t.created_at, t.updated_at, t.expires_at) IS DISTINCT FROM (" + other +
           ".state - 'version', " + other + ".created_at, " + other + ".updated_at, " + other +
           ".expires_at)";
}

/// The lines as rows `n`.
std::string rows_of(const std::string& array) {
    return "(SELECT d ->> 'agent_id' AS agent_id, d ->> 'session_id' AS session_id, " + stored_document("d") +
           " AS state, coalesce((d ->> 'created_at')::timestamptz, now()) AS created_at,"
           " coalesce((d ->> 'updated_at')::timestamptz, now()) AS updated_at,"
           " (d ->> 'expires_at')::timestamptz AS expires_at FROM jsonb_array_elements(" +
           array + "::jsonb) AS d) AS n";
}

} // namespace

void import_batch::add(std::string line, std::size_t number) {
    bytes_ += line.size();
    lines_.push_back(std::move(line));
    numbers_.push_back(number);
}

bool import_batch::full() const noexcept {
    return lines_.size() >= most_lines || bytes_ >= most_bytes_sent;
}

import_batch import_batch::only(std::size_t index) const {
    auto single = next();
    single.add(lines_[index], numbers_[index]);
    return single;
}

// A row that has expired counts as none. Versions are the table's: one that came along could be drawn there again, and a
// stale writer could then take the state for its own.
std::string import_batch::statement(const std::string& array) const {
    std::string sql = "INSERT INTO " + table_ +
                      " AS t (agent_id, session_id, state, created_at, updated_at, expires_at)"
                      " SELECT agent_id, session_id, state, created_at, updated_at, expires_at FROM " +
                      rows_of(array) +
                      " WHERE expires_at IS NULL OR expires_at > now() ORDER BY agent_id, session_id"
                      " ON CONFLICT (agent_id, session_id) DO UPDATE SET state = EXCLUDED.state,"
                      " created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at,"
                      " version = DEFAULT, expires_at = EXCLUDED.expires_at,"
                      " write_name = NULL" // it is no store's write
                      " WHERE t.expires_at <= now()";
    if (conflict_ == on_conflict::replace) sql += " OR " + differs_from("EXCLUDED");
    return sql;
}

import_counts import_batch::write(pqxx::connection& connection) const {
    std::string array = "[";
    for (const auto& line : lines_)
        array.append(array.size() == 1 ? "" : ",").append(line);
    array += "]";

    pqxx::work sql(connection);
    array = sql.quote(array);
    import_counts done{static_cast<std::int64_t>(lines_.size()), 0};
    done.written = static_cast<std::int64_t>(sql.exec(statement(array)).affected_rows());
    if (conflict_ == on_conflict::fail && done.written < done.lines) {
        const auto others =
            sql.exec("SELECT 1 FROM " + rows_of(array) + " JOIN " + table_ +
                     " AS t USING (agent_id, session_id) WHERE (t.expires_at IS NULL OR t.expires_at > now())"
                     " AND " +
                     differs_from("n") + " LIMIT 1");
        if (!others.empty()) throw error(errc::conflict, "import");
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
