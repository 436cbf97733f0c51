#include "store/search.hpp"

#include "config/utf8.hpp"
#include "pgstate/error.hpp"
#include "store/codec.hpp"
#include "store/jsonpath.hpp"
#include "store/validate.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate::store {
namespace {

using wire::type_oid;

constexpr std::string_view find_name = "find";

[[noreturn]] void refuse_query(std::string_view argument, std::string_view reason) {
    throw error(errc::invalid_argument, find_name, std::string(argument).append(" ").append(reason));
}

void validate_length(std::string_view argument, const std::string& text) {
    if (text.size() > max_change_bytes)
        refuse_query(argument, "is " + std::to_string(text.size()) + " bytes long; at most " +
                                   std::to_string(max_change_bytes) + " are taken");
}

void validate_jsonpath(const std::string& path) {
    validate_length("jsonpath", path);
    switch (settings::check_text(path)) {
    case settings::text_fault::none: break;
    case settings::text_fault::nul: refuse_query("jsonpath", "holds a NUL character; remove it");
    case settings::text_fault::not_utf8: refuse_query("jsonpath", "is not valid UTF-8; convert it");
    }
    // What the server cannot parse is left to it, as a later version may know more; but of a variable it is silent.
    const auto fault = jsonpath::first_fault(path);
    if (fault && fault->what == jsonpath_fault::kind::variable)
        throw error(errc::invalid_argument, find_name, "jsonpath: " + fault->message);
}

void validate_interval(std::string_view argument, const time_interval& interval) {
    if (interval.from && interval.until && *interval.until < *interval.from)
        refuse_query(argument, "ends before it begins; swap from and until");
}

/// Puts a statement together, each parameter beside the text that it belongs to.
class search_builder {
public:
    search_builder(const sql_text& sql, const encoded_query& query) : sql_(sql), query_(query) {}

    search build(bool by_index) {
        const std::string_view time = query_.by_created() ? "t.created_at" : "t.updated_at";
        // Rows without a time, which neither pgstate nor the Go SDK makes, have no place in the order.
        conditions_ = std::string(" WHERE ")
                          .append(sql_text::alive)
                          .append(" AND ")
                          .append(time)
                          .append(" IS NOT NULL");
        if (!query_.agent_id.empty()) also("t.agent_id = " + text(query_.agent_id));
        if (!query_.contains.empty()) {
            made_.values.add_jsonb_in_place(query_.contains);
            also("t.state @> " + next(type_oid::jsonb));
        }
        if (!query_.jsonpath.empty()) {
            made_.values.add_jsonpath_in_place(query_.jsonpath);
            also("t.state @@ " + next(type_oid::jsonpath));
        }
        within("t.updated_at", query_.updated);
        within("t.created_at", query_.created);
        const auto place = std::string(time).append(", t.agent_id COLLATE \"C\", t.session_id COLLATE \"C\"");
        if (query_.after) {
            // One after the other: they number the parameters.
            const auto when = moment(query_.after->time);
            const auto agent = text(query_.after->agent_id);
            const auto session = text(query_.after->session_id);
            also("(" + place + (query_.descending() ? ") < (" : ") > (") + when + ", " + agent + ", " +
                 session + ")");
        }
        conditions_.append(" ORDER BY ").append(order(time, by_index)).append(" LIMIT ").append(limit());
        made_.what = {{}, sql_.select(columns(), "", conditions_), std::move(types_)};
        return std::move(made_);
    }

private:
    std::string next(type_oid type) {
        types_.push_back(type);
        return "$" + std::to_string(types_.size());
    }
    std::string text(const std::string& value) {
        made_.values.add_text(value);
        return next(type_oid::text);
    }
    std::string moment(timestamp value) {
        made_.values.add_timestamptz(value);
        return next(type_oid::timestamptz);
    }
    // One more than asked for, to know whether there is a next page.
    std::string limit() {
        made_.values.add_int8(static_cast<std::int64_t>(query_.limit) + 1);
        return next(type_oid::int8);
    }
    void also(const std::string& condition) { conditions_.append(" AND ").append(condition); }

    void within(const std::string& column, const time_interval& interval) {
        if (interval.from) also(column + " >= " + moment(*interval.from));
        if (interval.until) also(column + " < " + moment(*interval.until));
    }

    std::string order(std::string_view time, bool by_index) const {
        const std::string_view direction = query_.descending() ? " DESC" : "";
        // The server thinks that what a document holds is frequent, and would read the whole table in the order of time
        // until it has a page of it. Where there is an index over the documents, it is not to see that order.
        const bool hidden = by_index && !(query_.contains.empty() && query_.jsonpath.empty());
        std::string key(time);
        if (hidden) key = "coalesce(" + key + ", 'epoch'::timestamptz)";
        return key.append(direction)
            .append(", t.agent_id COLLATE \"C\"")
            .append(direction)
            .append(", t.session_id COLLATE \"C\"")
            .append(direction);
    }

    std::string columns() const {
        constexpr std::string_view document = "t.state";
        constexpr std::string_view none = "NULL::jsonb";
        return std::string("t.agent_id, t.session_id, ")
            .append(query_.documents ? document : none)
            .append(", t.version, t.created_at, t.updated_at, t.expires_at");
    }

    const sql_text& sql_;
    const encoded_query& query_;
    search made_;
    std::vector<type_oid> types_;
    std::string conditions_;
};

void append_moment(std::string& scope, const std::optional<timestamp>& moment) {
    if (moment) scope += std::to_string(moment->time_since_epoch().count());
    scope += '\0';
}

} // namespace

std::string encoded_query::scope() const {
    std::string all;
    for (const auto* text : {&agent_id, &contains, &jsonpath})
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
    validate_jsonpath(query.jsonpath);
    encoded.jsonpath = query.jsonpath;
    validate_interval("updated", query.updated);
    validate_interval("created", query.created);
    encoded.updated = query.updated;
    encoded.created = query.created;
    encoded.order = query.order;
    encoded.limit = options.limit;
    encoded.documents = options.documents;
    if (!options.after.empty())
        encoded.after = decode_cursor(query_kind::find, encoded.scope(), options.after, find_name);
    return encoded;
}

search make_search(const sql_text& sql, const encoded_query& query, bool by_index) {
    return search_builder(sql, query).build(by_index);
}

agent_state found_state(const encoded_query& query, std::string_view agent_id, std::string_view session_id,
                        std::string_view document, const saved& row) {
    if (query.documents)
        return decode(agent_id, session_id, document, row.version, row.created_at, row.updated_at,
                      row.expires_at, find_name);
    agent_state state{std::string(agent_id), std::string(session_id)};
    state.version = row.version;
    state.created_at = row.created_at;
    state.updated_at = row.updated_at;
    state.expires_at = row.expires_at;
    return state;
}

std::optional<error> refused_jsonpath(const std::string& path, std::string_view sqlstate) {
    // syntax_error, undefined_object (a variable), invalid_regular_expression, feature_not_supported (an XQuery flag)
    constexpr std::array<std::string_view, 4> about_paths{"42601", "42704", "2201B", "0A000"};
    if (std::ranges::find(about_paths, sqlstate) == about_paths.end()) return std::nullopt;
    try {
        jsonpath::parse(path, find_name);
    } catch (const error& failure) {
        return failure;
    }
    error unclear(errc::invalid_argument, find_name, "jsonpath is refused by the server");
    return unclear.with_sqlstate(std::string(sqlstate));
}

std::string cursor_behind(const encoded_query& query, const agent_state& last) {
    return encode_cursor(
        query_kind::find, query.scope(),
        {query.by_created() ? last.created_at : last.updated_at, last.agent_id, last.session_id});
}

} // namespace pgstate::store
