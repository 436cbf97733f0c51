#include "documents.hpp"

#include "failure.hpp"
#include "text.hpp"
#include <pgstate/rfc3339.hpp>

#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include <pqxx/result>
#include <pqxx/transaction_base>

#include <algorithm>
#include <utility>

namespace pgstate::cli {
namespace {

constexpr auto most_rows = "1000";
constexpr auto most_bytes = "4194304"; // as stored, which may be compressed
constexpr auto most_messages = "4096"; // whose sizes are looked at to fill a page

constexpr auto not_a_document =
    "the stored document is no object, or has a member \"expires_at\" of its own, which here is the row's";

/// What a document is made of, of `t` and of what joined_messages() gives: the seventh one is null where it could not be given
/// back as it is. Those behind it are of a history in rows; null: it is in the document.
std::string columns(const history_tables& tables) {
    return "t.agent_id, t.session_id, t.version, " + time_as_text("created_at") + ", " +
           time_as_text("updated_at") + ", " + time_as_text("expires_at") +
           ", CASE WHEN jsonb_typeof(t.state) = 'object' AND NOT t.state ? 'expires_at' THEN t.state -"
           " '{agent_id,session_id,version,created_at,updated_at}'::text[] END, " +
           (tables.in_rows ? "CASE WHEN t.epoch IS NOT NULL THEN h.count = t.messages AND"
                             " coalesce(t.state -> 'history' = '\"rows\"', false) END, h.messages"
                           : "NULL::boolean, NULL::text");
}

std::string joined_messages(const history_tables& tables) {
    if (!tables.in_rows) return {};
    return " LEFT JOIN LATERAL (SELECT count(*), string_agg(m.message::text, ',' ORDER BY m.seq) AS messages"
           " FROM " +
           tables.messages + " AS m WHERE t.epoch IS NOT NULL AND " + messages_of("t") + ") AS h ON true";
}

constexpr auto alive = "(t.expires_at IS NULL OR t.expires_at > now())";

using row_of_result = decltype(std::declval<const pqxx::result&>()[0]); // not pqxx::row in libpqxx 8

document to_document(const row_of_result& row) {
    document made{state_key(row[0].as<std::string>(), row[1].as<std::string>()), {}, {}};
    if (row[6].is_null()) made.refusal = not_a_document;
    const bool in_rows = !row[7].is_null();
    if (in_rows && !row[7].as<bool>())
        made.refusal =
            "the messages in rows are not those that the state has; something else than pgstate has"
            " written or deleted some";
    if (!made.refusal.empty()) return made;
    auto& json = made.json;
    const auto time = [&](const char* name, const auto& value) {
        json.append(",\"").append(name).append("\":");
        if (value.is_null())
            json += "null";
        else
            json.append("\"").append(value.view()).append("\"");
    };
    json = "{\"agent_id\":" + boost::json::serialize(boost::json::string(made.key.agent_id)) +
           ",\"session_id\":" + boost::json::serialize(boost::json::string(made.key.session_id)) +
           ",\"version\":";
    json += row[2].view();
    time("created_at", row[3]);
    time("updated_at", row[4]);
    time("expires_at", row[5]);
    auto rest = row[6].view();
    rest.remove_prefix(1);
    if (rest != "}") json += ',';
    if (!in_rows) {
        append_compact(json, rest);
        return made;
    }
    std::string history = "[";
    if (!row[8].is_null()) history += row[8].view();
    append_members(json, rest, "history", history += ']');
    return made;
}

/// Whether a string of `json`, which is valid, has a NUL character in it.
bool has_nul(std::string_view json) {
    for (auto at = json.find('\\'); at != json.npos; at = json.find('\\', at + 2))
        if (json.substr(at).starts_with("\\u0000")) return true;
    return false;
}

std::string position(std::string_view text, std::size_t at) {
    const auto before = text.substr(0, at);
    const auto line = std::ranges::count(before, '\n') + 1;
    const auto start = before.rfind('\n');
    const auto column = at - (start == before.npos ? 0 : start + 1) + 1;
    return line == 1 ? "byte " + std::to_string(column)
                     : "line " + std::to_string(line) + ", byte " + std::to_string(column);
}

} // namespace

std::string time_as_text(const std::string& column) {
    constexpr auto first = "'0001-01-01T00:00:00Z'::timestamptz";
    constexpr auto last = "'9999-12-31T23:59:59.999999Z'::timestamptz";
    return std::string("to_char(CASE WHEN t.") + column + " < " + first + " THEN " + first + " WHEN t." +
           column + " > " + last + " THEN " + last + " ELSE t." + column +
           " END AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
}

std::vector<document> read_documents(pqxx::transaction_base& sql, const document_query& query) {
    auto tables = query.tables;
    tables.look(sql);
    auto condition = std::string(alive);
    if (!query.agent.empty()) condition += " AND t.agent_id = " + sql.quote(query.agent);
    if (query.after && !query.agent.empty())
        condition += " AND t.session_id > " + sql.quote(query.after->session_id);
    else if (query.after)
        condition += " AND (t.agent_id, t.session_id) > (" + sql.quote(query.after->agent_id) + ", " +
                     sql.quote(query.after->session_id) + ")";

    const auto before = [](const std::string& size, const char* name) {
        return "sum(" + size + ") OVER (ORDER BY p.agent_id, p.session_id ROWS UNBOUNDED PRECEDING) - " +
               size + " AS " + name;
    };
    // The sizes are of the column as it is stored: what does not fit on the page is not even decompressed.
    auto page_of = "SELECT * FROM " + tables.table + " AS t WHERE " + condition +
                   " ORDER BY t.agent_id, t.session_id LIMIT " + most_rows;
    std::string size = "pg_column_size(p.state)";
    if (tables.in_rows) {
        page_of = "SELECT q.*, coalesce((SELECT sum(pg_column_size(m.message)) FROM " + tables.messages +
                  " AS m WHERE " + messages_of("q") + "), 0) AS size_in_rows FROM (SELECT p.*, " +
                  before("coalesce(p.messages, 0)", "messages_before") + " FROM (" + page_of +
                  ") AS p) AS q WHERE q.messages_before < " + most_messages;
        size = "(pg_column_size(p.state) + p.size_in_rows)";
    }
    const auto rows = sql.exec("SELECT " + columns(tables) + " FROM (SELECT p.*, " + before(size, "before") +
                               " FROM (" + page_of + ") AS p) AS t" + joined_messages(tables) +
                               " WHERE t.before < " + most_bytes + " ORDER BY t.agent_id, t.session_id");
    std::vector<document> page;
    page.reserve(static_cast<std::size_t>(rows.size()));
    for (const auto& row : rows)
        page.push_back(to_document(row));
    return page;
}

std::optional<document> read_document(pqxx::transaction_base& sql, history_tables tables,
                                      const state_key& key, std::optional<std::int64_t> at) {
    tables.look(sql);
    const auto of_key = [&](const std::string& alias) {
        return alias + ".agent_id = " + sql.quote(key.agent_id) + " AND " + alias +
               ".session_id = " + sql.quote(key.session_id);
    };
    auto from = "SELECT * FROM " + tables.table + " AS t WHERE " + of_key("t") + " AND " + alive;
    if (at) {
        // The checkpoint's columns replace the row's. Only checkpoints of the state's present life count.
        const auto number = std::to_string(*at);
        const auto more = [&](const std::string& alias) {
            return tables.in_rows ? ", " + alias + ".epoch, " + alias + ".messages" : std::string();
        };
        from =
            "SELECT t.agent_id, t.session_id, x.version, t.created_at, x.updated_at, t.expires_at, x.state" +
            more("x") + " FROM (" + from + ") AS t, LATERAL (SELECT t.version, t.updated_at, t.state" +
            more("t") + " WHERE t.version = " + number +
            " UNION ALL SELECT c.version, c.state_updated_at, c.state" + more("c") + " FROM " +
            tables.checkpoints + " AS c WHERE " + of_key("c") + " AND c.version = " + number +
            " AND t.version <> " + number + " AND c.state_created_at IS NOT DISTINCT FROM t.created_at) AS x";
    }
    const auto rows =
        sql.exec("SELECT " + columns(tables) + " FROM (" + from + ") AS t" + joined_messages(tables));
    if (rows.empty()) return std::nullopt;
    return to_document(rows[0]);
}

std::string stored_document(const std::string& json) {
    return R"(('{"data":{},"history":[],"context":{}}'::jsonb || ()" + json + " - 'expires_at'))";
}

std::string wrong_document(std::string_view text, const detail::document_check& check) {
    if (!check.is_json)
        return check.read == text.size() ? "ends too early"
                                         : "is no valid JSON at " + position(text, check.read);
    if (check.refusal.find("in rows of another table") != check.refusal.npos)
        return "is not whole: its \"history\" is \"rows\", so that the messages are in another table; 'pgstate export'"
               " and 'pgstate get' write them too";
    if (!check.refusal.empty()) return "is no state: " + check.refusal;
    for (const auto& [name, when] :
         {std::pair("created_at", check.row.created_at), std::pair("updated_at", check.row.updated_at),
          std::pair("expires_at", check.row.expires_at)})
        if (when && from_rfc3339(to_nearest_rfc3339(*when)) != when)
            return std::string("is no state: ") + name + " is not of the years 1 to 9999";
    return has_nul(text) ? nul_character : std::string();
}

std::string wrong_key(const state_key& key) {
    if (key.agent_id.empty() || key.session_id.empty()) return "has no \"agent_id\" and \"session_id\"";
    if (key.agent_id.size() + key.session_id.size() > max_key_bytes)
        return "has keys of more than " + std::to_string(max_key_bytes) + " bytes together";
    return {};
}

} // namespace pgstate::cli
