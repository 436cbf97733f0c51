#include "codec/query.hpp"

#include "codec/codec.hpp"
#include "codec/validate.hpp"
#include "detail/utf8.hpp"
#include "pgstate/error.hpp"

namespace pgstate::codec {
namespace {

constexpr std::string_view find_name = "find";

[[noreturn]] void refuse_query(std::string_view argument, std::string_view reason) {
    throw error(errc::invalid_argument, find_name, std::string(argument).append(" ").append(reason));
}

void validate_length(std::string_view argument, const std::string& text) {
    if (text.size() > max_change_bytes)
        refuse_query(argument, "is " + std::to_string(text.size()) + " bytes long; at most " +
                                   std::to_string(max_change_bytes) + " are accepted");
}

void validate_jsonpath(std::string_view argument, const std::string& path) {
    validate_length(argument, path);
    switch (detail::check_text(path)) {
    case detail::text_fault::none: break;
    case detail::text_fault::nul: refuse_query(argument, "holds a NUL character; remove it");
    case detail::text_fault::not_utf8: refuse_query(argument, "is not valid UTF-8; convert it");
    }
}

/// Of a query whose `contains` is valid.
void take_apart(const boost::json::object& contains, encoded_query& encoded) {
    auto besides = contains;
    const auto* const history = contains.if_contains("history");
    if (history) {
        besides.erase("history");
        encoded.contains_no_history = !history->is_array();
        auto& messages = encoded.contains_messages.emplace();
        if (const auto* const all = history->if_array())
            for (const auto& each : *all) {
                // Only objects have a writer: the element becomes the member `m` of one, whose text is cut off.
                const auto text = encode_members({{"m", each}}, "contains", find_name);
                messages.push_back(text.substr(5, text.size() - 6)); // {"m":...}
            }
    }
    if (!besides.empty()) encoded.contains_besides = encode_members(besides, "contains", find_name);
}

void validate_interval(std::string_view argument, const time_interval& interval) {
    if (interval.from && interval.until && *interval.until < *interval.from)
        refuse_query(argument, "ends before it begins; swap from and until");
}

void append_moment(std::string& scope, const std::optional<timestamp>& moment) {
    if (moment) scope += std::to_string(moment->time_since_epoch().count());
    scope += '\0';
}

} // namespace

std::string encoded_query::scope() const {
    std::string all;
    for (const auto* text : {&agent_id, &contains, &jsonpath, &message_jsonpath})
        all.append(*text) += '\0';
    for (const auto* interval : {&updated, &created}) {
        append_moment(all, interval->from);
        append_moment(all, interval->until);
    }
    return all += static_cast<char>('0' + static_cast<int>(order));
}

encoded_query encode_query(const state_query& query, const find_options& options) {
    validate_find(options);
    encoded_query encoded;
    if (!query.agent_id.empty()) validate_agent(query.agent_id, find_name);
    encoded.agent_id = query.agent_id;
    if (!query.contains.empty()) encoded.contains = encode_members(query.contains, "contains", find_name);
    validate_length("contains", encoded.contains);
    take_apart(query.contains, encoded);
    validate_jsonpath("jsonpath", query.jsonpath);
    encoded.jsonpath = query.jsonpath;
    validate_jsonpath("message_jsonpath", query.message_jsonpath);
    encoded.message_jsonpath = query.message_jsonpath;
    validate_interval("updated", query.updated);
    validate_interval("created", query.created);
    encoded.updated = query.updated;
    encoded.created = query.created;
    encoded.order = query.order;
    encoded.limit = options.limit;
    encoded.documents = options.documents;
    if (options.documents) encoded.history = options.history;
    encoded.unreadable = options.unreadable;
    if (!options.after.empty())
        encoded.after = decode_cursor(query_kind::find, encoded.scope(), options.after, find_name);
    return encoded;
}

agent_state found_state(const encoded_query& query, std::string_view agent_id, std::string_view session_id,
                        std::string_view document, const saved& row,
                        std::optional<std::string_view> messages) {
    if (query.documents)
        return decode(agent_id, session_id, document, row.version, row.created_at, row.updated_at,
                      row.expires_at, find_name, messages);
    agent_state state{std::string(agent_id), std::string(session_id)};
    row.apply_to(state);
    return state;
}

std::string cursor_behind(const encoded_query& query, const page_position& last) {
    return encode_cursor(query_kind::find, query.scope(), last);
}

} // namespace pgstate::codec
