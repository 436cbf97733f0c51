#include "moving.hpp"

#include <pgstate/agent_state.hpp>

#include <pqxx/connection>
#include <pqxx/except>
#include <pqxx/nontransaction>
#include <pqxx/result>
#include <pqxx/transaction>

#include <map>
#include <set>
#include <string_view>
#include <utility>

namespace pgstate::cli {
namespace {

constexpr auto most_bytes_moved = "4194304"; // as stored, which may be compressed
constexpr auto most_messages_moved = "10000";
constexpr int most_tries = 5;

/// A limit of the server's: the size of an index's entry or of a jsonb, for example.
bool is_limit(std::string_view sqlstate) {
    return sqlstate.starts_with("54");
}

bool is_worth_retry(std::string_view sqlstate) {
    return sqlstate == "40P01" || sqlstate == "40001";
}

std::string of_key(const std::string& alias, const std::string& key) {
    return alias + ".agent_id = " + key + ".agent_id AND " + alias + ".session_id = " + key + ".session_id";
}

std::string of_k(const std::string& alias) {
    return alias + ".agent_id = k.a AND " + alias + ".session_id = k.s";
}

/// As the store takes it from a message (agent_message::id).
std::string id_of_message(const std::string& message) {
    const auto id = message + " ->> 'id'";
    return "CASE WHEN jsonb_typeof(" + message + " -> 'id') = 'string' AND octet_length(convert_to(" + id +
           ", 'UTF8')) BETWEEN 1 AND " + std::to_string(max_message_id_bytes) + " THEN " + id + " END";
}

/// The messages of `of`, as a part of a document.
std::string collected(const history_tables& tables, const std::string& of, const std::string& columns) {
    return "SELECT " + columns + " FROM " + tables.messages + " AS m WHERE " + messages_of(of);
}

constexpr auto as_array = "coalesce(jsonb_agg(m.message ORDER BY m.seq), '[]')";

/// Whether the document of `of` says that its history is in rows.
std::string says_rows(const std::string& of) {
    return "(" + of + ".state -> 'history' IS NOT DISTINCT FROM '\"rows\"'::jsonb)";
}

} // namespace

struct history_mover::page {
    std::vector<state_key> keys;   ///< of states whose history is to be moved
    std::optional<state_key> last; ///< of those that were looked at
    std::int64_t size = 0;         ///< how many these are
};

std::string rows_of_keys(pqxx::connection& connection, const std::vector<state_key>& keys) {
    std::string values;
    for (const auto& key : keys)
        values.append(values.empty() ? "(" : ", (")
            .append(connection.quote(key.agent_id))
            .append(", ")
            .append(connection.quote(key.session_id))
            .append(")");
    return "(VALUES " + values + ") AS k(a, s)";
}

std::string lock_states_of(const history_tables& tables, const std::string& keys) {
    return "SELECT 1 FROM " + tables.table + " AS t JOIN " + keys + " ON " + of_k("t") +
           " ORDER BY t.agent_id COLLATE \"C\", t.session_id COLLATE \"C\" FOR NO KEY UPDATE OF t";
}

std::string delete_orphans_of(const history_tables& tables, const std::string& keys) {
    const auto none_in = [&](const std::string& table) {
        return " AND NOT EXISTS (SELECT FROM " + table + " AS o WHERE " + of_key("o", "m") +
               " AND o.epoch = m.epoch)";
    };
    return "DELETE FROM " + tables.messages + " AS m USING " + keys + " WHERE " + of_k("m") +
           none_in(tables.table) + none_in(tables.checkpoints);
}

/// The next keys, and which of them are to be moved: as many as fit into a batch. Those that are not cost little.
std::string history_mover::page_statement(const std::string& behind) const {
    const auto before = [](const std::string& size, const char* name) {
        return "sum(" + size + ") OVER (ORDER BY agent_id, session_id ROWS UNBOUNDED PRECEDING) - " + size +
               " AS " + name;
    };
    const auto most = std::to_string(most_);
    const auto first =
        " FROM " + tables_.table + " AS t" + behind + " ORDER BY t.agent_id, t.session_id LIMIT " + most;
    if (to_ == history_layout::rows)
        return "SELECT agent_id, session_id, wanted FROM (SELECT p.*, " + before("size", "before") +
               " FROM (SELECT t.agent_id, t.session_id, t.epoch IS NULL AS wanted, CASE WHEN t.epoch IS NULL"
               " THEN pg_column_size(t.state) ELSE 0 END AS size" +
               first + ") AS p) AS q WHERE before < " + most_bytes_moved + " ORDER BY agent_id, session_id";
    const auto kept = tables_.checkpoints + " AS c WHERE " + of_key("c", "t") + " AND c.epoch IS NOT NULL";
    // Messages are counted before any size is looked at.
    return "SELECT agent_id, session_id, wanted FROM (SELECT p.*, " + before("size", "before") +
           " FROM (SELECT q.*, coalesce((SELECT sum(pg_column_size(m.message)) FROM " + tables_.messages +
           " AS m WHERE " + of_key("m", "q") + "), 0) + state_size AS size FROM (SELECT t.*, " +
           before("number", "messages_before") +
           " FROM (SELECT t.agent_id, t.session_id, t.epoch IS NOT NULL OR EXISTS (SELECT FROM " + kept +
           ") AS wanted, CASE WHEN t.epoch IS NOT NULL THEN pg_column_size(t.state) ELSE 0 END AS state_size,"
           " coalesce(t.messages, 0) + coalesce((SELECT sum(c.messages) FROM " +
           kept + "), 0) AS number" + first + ") AS t) AS q WHERE messages_before < " + most_messages_moved +
           ") AS p) AS r WHERE before < " + most_bytes_moved + " ORDER BY agent_id, session_id";
}

/// The answer has two kinds of rows: each state that was seen, with whether it can be moved; and each state that was moved, with its
/// number of messages (NULL if only its checkpoints were moved) and the number of checkpoints of all. The program pairs them, as
/// the server would join them by a nested loop. A history that is missing or null is empty.
std::string history_mover::to_rows(const std::string& keys) const {
    return "WITH seen AS MATERIALIZED (SELECT t.agent_id, t.session_id, gen_random_uuid() AS epoch,"
           " jsonb_typeof(t.state) = 'object' AND CASE coalesce(jsonb_typeof(t.state -> 'history'), 'null')"
           " WHEN 'null' THEN true WHEN 'array' THEN NOT EXISTS (SELECT FROM jsonb_array_elements(t.state ->"
           " 'history') AS e WHERE jsonb_typeof(e) <> 'object') ELSE false END AS fit,"
           " CASE jsonb_typeof(t.state -> 'history') WHEN 'array' THEN t.state -> 'history' ELSE '[]' END"
           " AS history FROM " +
           tables_.table + " AS t JOIN " + keys + " ON " + of_k("t") +
           " WHERE t.epoch IS NULL),"
           " w AS (UPDATE " +
           tables_.table +
           " AS t SET state = jsonb_set(t.state, '{history}', '\"rows\"'), epoch = seen.epoch,"
           " messages = jsonb_array_length(seen.history) FROM seen WHERE " +
           of_key("t", "seen") +
           " AND seen.fit AND t.epoch IS NULL RETURNING t.agent_id, t.session_id, t.messages, seen.epoch, seen.history),"
           " p AS (INSERT INTO " +
           tables_.messages +
           " (agent_id, session_id, epoch, seq, id, message) SELECT w.agent_id, w.session_id,"
           " w.epoch, x.n - 1, " +
           id_of_message("x.j") +
           ", x.j FROM w CROSS JOIN LATERAL"
           " jsonb_array_elements(w.history) WITH ORDINALITY AS x(j, n))"
           " SELECT agent_id, session_id, false AS moved, fit, NULL::bigint, 0 FROM seen"
           " UNION ALL SELECT agent_id, session_id, true, true, messages, 0 FROM w";
}

/// The same; a state is moved with its checkpoints, or stays. One whose history is in the document can have others.
std::string history_mover::to_document(const std::string& keys) const {
    const auto& checkpoints = tables_.checkpoints;
    return "WITH seen AS MATERIALIZED (SELECT t.agent_id, t.session_id, t.epoch, t.messages, h.history,"
           " (t.epoch IS NULL OR (h.count = t.messages AND " +
           says_rows("t") + ")) AND NOT EXISTS (SELECT FROM " + checkpoints + " AS c WHERE " +
           of_key("c", "t") + " AND c.epoch IS NOT NULL AND (NOT " + says_rows("c") + " OR c.messages <> (" +
           collected(tables_, "c", "count(*)") + "))) AS fit FROM " + tables_.table + " AS t JOIN " + keys +
           " ON " + of_k("t") + " CROSS JOIN LATERAL (" +
           collected(tables_, "t", std::string("count(*), ") + as_array + " AS history") +
           ") AS h WHERE t.epoch IS NOT NULL OR EXISTS (SELECT FROM " + checkpoints + " AS c WHERE " +
           of_key("c", "t") +
           " AND c.epoch IS NOT NULL)),"
           " w AS (UPDATE " +
           tables_.table +
           " AS t SET state = jsonb_set(t.state, '{history}', seen.history), epoch = NULL, messages = NULL"
           " FROM seen WHERE " +
           of_key("t", "seen") +
           " AND seen.fit AND seen.epoch IS NOT NULL RETURNING t.agent_id, t.session_id, seen.messages),"
           " done AS MATERIALIZED (SELECT agent_id, session_id, NULL::bigint AS messages FROM seen WHERE fit AND"
           " epoch IS NULL UNION ALL SELECT agent_id, session_id, messages FROM w),"
           " kept AS (UPDATE " +
           checkpoints + " AS c SET state = jsonb_set(c.state, '{history}', (" +
           collected(tables_, "c", as_array) + ")), epoch = NULL FROM done WHERE " + of_key("c", "done") +
           " AND c.epoch IS NOT NULL RETURNING 1)"
           " SELECT agent_id, session_id, false AS moved, fit, NULL::bigint, 0 FROM seen UNION ALL"
           " SELECT agent_id, session_id, true, true, messages, (SELECT count(*) FROM kept) FROM done";
}

history_mover::page history_mover::read_page(pqxx::connection& connection,
                                             const std::optional<state_key>& after) const {
    pqxx::nontransaction sql(connection);
    const auto behind = after ? " WHERE (t.agent_id, t.session_id) > (" + sql.quote(after->agent_id) + ", " +
                                    sql.quote(after->session_id) + ")"
                              : std::string();
    page found;
    for (const auto& row : sql.exec(page_statement(behind))) {
        found.last.emplace(row[0].as<std::string>(), row[1].as<std::string>());
        ++found.size;
        if (row[2].as<bool>()) found.keys.push_back(*found.last);
    }
    return found;
}

// Each statement sees what was committed before it began: the second one is of states that nobody else changes.
moved_histories history_mover::move(pqxx::connection& connection, const std::vector<state_key>& keys) const {
    pqxx::work sql(connection);
    sql.exec("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"); // whatever the role's default is
    const auto rows = rows_of_keys(connection, keys);
    sql.exec(lock_states_of(tables_, rows));
    const bool into_rows = to_ == history_layout::rows;
    const char* unfit = into_rows ? "its history is no array of objects"
                                  : "the messages in rows are not those that it or a checkpoint has";
    moved_histories done;
    std::map<state_key, const char*> left;
    std::set<state_key> moved;
    for (const auto& row : sql.exec(into_rows ? to_rows(rows) : to_document(rows))) {
        state_key key(row[0].as<std::string>(), row[1].as<std::string>());
        if (!row[2].as<bool>()) {
            left[key] = row[3].as<bool>() ? "a trigger or a rule of the table suppresses the write" : unfit;
            continue;
        }
        done.checkpoints = row[5].as<std::int64_t>();
        if (!row[4].is_null()) {
            ++done.states;
            done.messages += row[4].as<std::int64_t>();
        }
        moved.insert(std::move(key));
    }
    for (const auto& [key, why] : left)
        if (!moved.contains(key)) done.left.push_back({key, why});
    if (!into_rows) sql.exec(delete_orphans_of(tables_, rows));
    sql.commit();
    return done;
}

history_mover::batch history_mover::move_next(pqxx::connection& connection,
                                              const std::optional<state_key>& after) const {
    auto found = read_page(connection, after);
    batch made{std::move(found.last), found.size, {}};
    const auto add = [&](moved_histories&& more) {
        made.done.states += more.states;
        made.done.messages += more.messages;
        made.done.checkpoints += more.checkpoints;
        for (auto& each : more.left)
            made.done.left.push_back(std::move(each));
    };
    /// False: a limit of the server's is in the way.
    const auto try_to_move = [&](const std::vector<state_key>& keys, std::string& sqlstate) {
        for (int tries = 1;; ++tries) {
            try {
                add(move(connection, keys));
                return true;
            } catch (const pqxx::sql_error& e) {
                sqlstate = e.sqlstate();
                if (is_limit(sqlstate)) return false;
                if (!is_worth_retry(sqlstate) || tries == most_tries) throw;
            }
        }
    };
    std::string sqlstate;
    if (found.keys.empty() || try_to_move(found.keys, sqlstate)) return made;
    for (const auto& key : found.keys)
        if (!try_to_move({key}, sqlstate))
            made.done.left.push_back({key, "the server refuses it (SQLSTATE " + sqlstate + ")"});
    return made;
}

} // namespace pgstate::cli
