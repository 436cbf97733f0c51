#include "documents.hpp"

#include "failure.hpp"
#include "text.hpp"

#include <boost/json/serialize.hpp>
#include <boost/json/stream_parser.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>

#include <pqxx/result>
#include <pqxx/transaction_base>

#include <algorithm>
#include <utility>

namespace pgstate::cli {
namespace {

constexpr auto most_rows = "1000";
constexpr auto most_bytes = "4194304"; // as stored, which may be compressed

// The deepest nesting that a stored document can have, and one for luck.
constexpr std::size_t deepest = 513;

/// What a document is made of. The last one is null where it could not be given back as it is.
std::string columns() {
    return "t.agent_id, t.session_id, t.version, " + time_as_text("created_at") + ", " +
           time_as_text("updated_at") + ", " + time_as_text("expires_at") +
           ", CASE WHEN jsonb_typeof(t.state) = 'object' AND NOT t.state ? 'expires_at' THEN t.state -"
           " '{agent_id,session_id,version,created_at,updated_at}'::text[] END";
}

constexpr auto alive = "(t.expires_at IS NULL OR t.expires_at > now())";

using row_of_result = decltype(std::declval<const pqxx::result&>()[0]); // not pqxx::row in libpqxx 8

document to_document(const row_of_result& row) {
    document made{state_key(row[0].as<std::string>(), row[1].as<std::string>()), {}};
    if (row[6].is_null())
        throw failure(
            exit_code::failed,
            name_of(made.key.agent_id, made.key.session_id) +
                ": the stored document is no object, or has a member \"expires_at\" of its own, which"
                " here is the row's");
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
    append_compact(json, rest);
    return made;
}

/// Why `object` is no state, quoting nothing of it; empty: it is one.
std::string wrong_member(const boost::json::object& object) {
    const auto is = [&](const char* name, auto... kinds) {
        const auto* value = object.if_contains(name);
        return !value || value->is_null() || ((value->kind() == kinds) || ...);
    };
    using boost::json::kind;
    for (const auto* name : {"data", "context"})
        if (!is(name, kind::object)) return std::string("has a \"") + name + "\" that is no object";
    for (const auto* name : {"agent_id", "session_id", "created_at", "updated_at", "expires_at"})
        if (!is(name, kind::string)) return std::string("has a \"") + name + "\" that is no text";
    if (!is("version", kind::int64)) return "has a \"version\" that is no 64-bit integer";
    if (!is("history", kind::array)) return "has a \"history\" that is no array";
    const auto* history = object.if_contains("history");
    if (history && history->is_array())
        for (const auto& message : history->get_array())
            if (!message.is_object()) return "has a \"history\" with something else than objects in it";
    return {};
}

} // namespace

std::string position(std::string_view text, std::size_t at) {
    const auto before = text.substr(0, at);
    const auto line = std::ranges::count(before, '\n') + 1;
    const auto start = before.rfind('\n');
    const auto column = at - (start == before.npos ? 0 : start + 1) + 1;
    return line == 1 ? "byte " + std::to_string(column)
                     : "line " + std::to_string(line) + ", byte " + std::to_string(column);
}

std::string time_as_text(const std::string& column) {
    return "to_char(t." + column + " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
}

std::vector<document> read_documents(pqxx::transaction_base& sql, const document_query& query) {
    auto condition = std::string(alive);
    if (!query.agent.empty()) condition += " AND t.agent_id = " + sql.quote(query.agent);
    if (query.after && !query.agent.empty())
        condition += " AND t.session_id > " + sql.quote(query.after->session_id);
    else if (query.after)
        condition += " AND (t.agent_id, t.session_id) > (" + sql.quote(query.after->agent_id) + ", " +
                     sql.quote(query.after->session_id) + ")";

    // The sizes are of the column as it is stored: what does not fit on the page is not even decompressed.
    const auto rows = sql.exec(
        "SELECT " + columns() +
        " FROM (SELECT p.*, sum(pg_column_size(p.state)) OVER (ORDER BY p.agent_id, p.session_id"
        " ROWS UNBOUNDED PRECEDING) - pg_column_size(p.state) AS before FROM (SELECT * FROM " +
        query.table + " AS t WHERE " + condition + " ORDER BY t.agent_id, t.session_id LIMIT " + most_rows +
        ") AS p) AS t WHERE t.before < " + most_bytes + " ORDER BY t.agent_id, t.session_id");
    std::vector<document> page;
    page.reserve(static_cast<std::size_t>(rows.size()));
    for (const auto& row : rows)
        page.push_back(to_document(row));
    return page;
}

std::optional<document> read_document(pqxx::transaction_base& sql, const std::string& table,
                                      const state_key& key) {
    const auto rows = sql.exec("SELECT " + columns() + " FROM " + table +
                               " AS t WHERE t.agent_id = " + sql.quote(key.agent_id) +
                               " AND t.session_id = " + sql.quote(key.session_id) + " AND " + alive);
    if (rows.empty()) return std::nullopt;
    return to_document(rows[0]);
}

std::string stored_document(const std::string& json) {
    return R"(('{"data":{},"history":[],"context":{}}'::jsonb || ()" + json + " - 'expires_at'))";
}

boost::json::object parse_document(std::string_view text, std::string& refusal) {
    boost::json::parse_options options;
    options.max_depth = deepest;
    boost::json::stream_parser parser({}, options);
    boost::system::error_code wrong;
    const auto used = parser.write_some(text.data(), text.size(), wrong);
    const bool rest = !wrong && text.find_first_not_of(" \t\r\n", used) != text.npos;
    if (wrong || rest || !parser.done()) {
        refusal = used == text.size() ? "ends too early" : "is no valid JSON at " + position(text, used);
        return {};
    }
    auto value = parser.release();
    if (!value.is_object()) {
        refusal = "is no JSON object";
        return {};
    }
    refusal = wrong_member(value.get_object());
    return std::move(value.get_object());
}

std::string wrong_key(const boost::json::object& document) {
    const auto key = key_of(document);
    if (!key || key->agent_id.empty() || key->session_id.empty())
        return "has no \"agent_id\" and \"session_id\"";
    if (key->agent_id.size() + key->session_id.size() > max_key_bytes)
        return "has keys of more than " + std::to_string(max_key_bytes) + " bytes together";
    return {};
}

std::optional<state_key> key_of(const boost::json::object& document) {
    const auto* agent = document.if_contains("agent_id");
    const auto* session = document.if_contains("session_id");
    if (!agent || !session || !agent->is_string() || !session->is_string()) return std::nullopt;
    return state_key(std::string(agent->get_string()), std::string(session->get_string()));
}

} // namespace pgstate::cli
