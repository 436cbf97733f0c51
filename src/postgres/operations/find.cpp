#include "postgres/operations/find.hpp"

#include "postgres/operations/load.hpp"
#include "postgres/operations/written_row.hpp"
#include "sql/history_sql.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::postgres {
namespace {

using sql::table_sql;
using wire::type_oid;

namespace found_row {
enum : int { agent_id, session_id, state, version, created_at, updated_at, expires_at, first };
}

/// Puts a statement together, each parameter beside the text that it belongs to.
class search_builder {
    static constexpr auto agent = "t.agent_id COLLATE \"C\"";
    static constexpr auto session = "t.session_id COLLATE \"C\"";

public:
    search_builder(const table_sql& sql, const codec::encoded_query& query) : sql_(sql), query_(query) {}

    search build(bool by_index) {
        conditions_ = std::string(" WHERE ").append(table_sql::alive);
        if (!query_.agent_id.empty()) also("t.agent_id = " + text(query_.agent_id));
        if (!query_.contains.empty()) contains();
        if (!query_.jsonpath.empty()) also("t.state @@ " + jsonpath(query_.jsonpath));
        if (!query_.message_jsonpath.empty()) has_message();
        within("t.updated_at", query_.updated);
        within("t.created_at", query_.created);
        auto sql = statement(by_index);
        const bool in_rows = query_.documents && sql_.where().may_be_in_rows();
        if (in_rows || query_.history != history_window::all) sql = with_window(sql);
        made_.what = {{}, std::move(sql), std::move(types_)};
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
    std::string json(const std::string& value) {
        made_.values.add_jsonb_in_place(value);
        return next(type_oid::jsonb);
    }
    std::string jsonpath(const std::string& path) {
        made_.values.add_jsonpath_in_place(path);
        return next(type_oid::jsonpath);
    }

    /// Whether the history in rows has a message `m` for which `condition` holds.
    std::string in_rows(const std::string& condition) const {
        return std::string("EXISTS (SELECT FROM ")
            .append(sql_.where().messages)
            .append(
                " AS m WHERE m.agent_id = t.agent_id AND m.session_id = t.session_id AND m.epoch = t.epoch AND ")
            .append(condition)
            .append(")");
    }

    void contains() {
        if (!sql_.where().may_be_in_rows() || !query_.contains_messages)
            return also("t.state @> " + json(query_.contains));
        if (!query_.contains_besides.empty()) also("t.state @> " + json(query_.contains_besides));
        std::string rows = query_.contains_no_history ? "false" : "true";
        for (const auto& each : *query_.contains_messages)
            rows.append(" AND ").append(in_rows("m.message @> " + json(each)));
        also("CASE WHEN t.epoch IS NULL THEN t.state @> " + json(query_.contains) + " ELSE " + rows + " END");
    }

    void has_message() {
        const auto path = jsonpath(query_.message_jsonpath);
        const auto in_document =
            "EXISTS (SELECT FROM jsonb_array_elements(CASE WHEN jsonb_typeof(t.state -> 'history') = 'array'"
            " THEN t.state -> 'history' END) AS h(m) WHERE h.m @@ " +
            path + ")";
        also(sql_.where().may_be_in_rows() ? "CASE WHEN t.epoch IS NULL THEN " + in_document + " ELSE " +
                                                 in_rows("m.message @@ " + path) + " END"
                                           : in_document);
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

    std::string time() const { return query_.by_created() ? "t.created_at" : "t.updated_at"; }

    /// \param hidden  no index over the time serves it
    std::string order(bool hidden) const {
        const auto* const direction = query_.descending() ? " DESC" : "";
        return std::string(" ORDER BY ")
            .append(time())
            .append(hidden ? " + interval '0'" : "")
            .append(direction)
            .append(", ")
            .append(agent)
            .append(direction)
            .append(", ")
            .append(session)
            .append(direction);
    }

    /// Rows without a time are where an index over the times has them: first in descending order, last in ascending order.
    std::string statement(bool by_index) {
        const auto time = this->time();
        // The server thinks that what a document holds is frequent, and would read the whole table in the order of time
        // until it has a page of it. Where there is an index over the documents, it is not to see that order.
        const bool hidden = by_index && !(query_.contains.empty() && query_.jsonpath.empty());
        const auto rows = limit();
        const auto first_rows = order(hidden) + " LIMIT " + rows;
        const auto page_of = [&](const std::string& condition) {
            const bool in_rows = query_.documents && sql_.where().may_be_in_rows();
            return sql_.select(columns(query_.documents ? "t.state" : "NULL::jsonb") +
                                   (in_rows ? ", t.epoch, t.messages" : ""),
                               "", conditions_ + condition + first_rows);
        };
        if (!query_.after) return page_of("");

        // One after the other: they number the parameters.
        const auto last_agent = text(query_.after->agent_id);
        const auto last = last_agent + ", " + text(query_.after->session_id) + ")";
        const auto key = std::string(agent) + ", " + session + (query_.descending() ? ") < (" : ") > (");
        if (query_.after->time == codec::page_position::no_time) {
            const auto behind = "(" + key + last;
            return page_of(query_.descending() ? " AND (" + time + " IS NOT NULL OR " + behind + ")"
                                               : " AND " + time + " IS NULL AND " + behind);
        }
        made_.values.add_server_time(query_.after->time);
        const auto behind = page_of(" AND (" + time + ", " + key + next(type_oid::timestamptz) + ", " + last);
        if (query_.descending()) return behind;
        // No condition on a time that an index serves has rows without one as well: only a page with room reads those.
        return "WITH timed AS MATERIALIZED (" + behind + ") SELECT * FROM (SELECT * FROM timed UNION ALL (" +
               page_of(" AND " + time + " IS NULL AND (SELECT count(*) FROM timed) < " + rows) + ")) AS t" +
               first_rows;
    }

    static std::string columns(std::string_view document) {
        return std::string("t.agent_id, t.session_id, ")
            .append(document)
            .append(", t.version, t.created_at, t.updated_at, t.expires_at");
    }

    /// Of the states on the page only: those that `page` finds.
    std::string with_window(const std::string& page) {
        namespace history_sql = sql::history_sql;
        const auto& where = sql_.where();
        std::array<std::string, 3> names;
        const auto numbers = window_parameters(query_.history);
        for (std::size_t i = 0; i < names.size(); ++i) {
            made_.values.add_int8(numbers[i]);
            names[i] = next(type_oid::int8);
        }
        return std::string("SELECT ")
            .append(columns(history_sql::windowed_document(where)))
            .append(", ")
            .append(history_sql::window_columns(where))
            .append(" FROM (")
            .append(page)
            .append(") AS t")
            .append(history_sql::join_window(where, names[0], names[1], names[2]))
            .append(order(false));
    }

    const table_sql& sql_;
    const codec::encoded_query& query_;
    search made_;
    std::vector<type_oid> types_;
    std::string conditions_;
};

} // namespace

search make_search(const table_sql& sql, const codec::encoded_query& query, bool by_index) {
    return search_builder(sql, query).build(by_index);
}

find_operation::find_operation(const batch::operation_type& as, codec::encoded_query query,
                               const table_sql& sql, bool by_index, handler_type handler,
                               const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::find, as, std::move(handler), io), query_(std::move(query)),
      search_(make_search(sql, query_, by_index)) {
    agent_id = query_.agent_id;
    key_hash = batch::hash_key(agent_id, {});
    bytes = search_.values.bytes();
}

agent_state find_operation::state_in(int row) const {
    const saved what{rows().int8(row, found_row::version), rows().timestamptz(row, found_row::created_at),
                     rows().timestamptz(row, found_row::updated_at),
                     expiry_in(rows(), row, found_row::expires_at)};
    const auto document = query_.documents ? rows().jsonb(row, found_row::state) : std::string_view();
    auto found = codec::found_state(query_, rows().text(row, found_row::agent_id),
                                    rows().text(row, found_row::session_id), document, what,
                                    messages_in_rows(rows(), row, found_row::first));
    if (query_.documents) note_window(found, rows(), row, found_row::first, query_.history, name());
    return found;
}

result<state_page> find_operation::decode() {
    state_page page;
    const auto found = static_cast<std::size_t>(rows().size());
    const auto shown = static_cast<int>(std::min(found, query_.limit));
    page.states.reserve(static_cast<std::size_t>(shown));
    const auto key_of = [this](int row) {
        return state_key(std::string(rows().text(row, found_row::agent_id)),
                         std::string(rows().text(row, found_row::session_id)));
    };
    for (int row = 0; row < shown; ++row) {
        try {
            page.states.push_back(state_in(row));
        } catch (const error& e) {
            if (query_.unreadable == on_unreadable::fail || e != errc::corrupt_state) throw;
            page.unreadable.push_back({key_of(row), e.what()});
        }
    }
    if (found > query_.limit) {
        auto last = key_of(shown - 1);
        const int column = query_.by_created() ? found_row::created_at : found_row::updated_at;
        const auto time = rows().is_null(shown - 1, column) ? codec::page_position::no_time
                                                            : rows().server_time(shown - 1, column);
        page.next =
            codec::cursor_behind(query_, {time, std::move(last.agent_id), std::move(last.session_id)});
    }
    return page;
}

error find_operation::explain(error failure) const {
    // syntax_error, undefined_object (a variable), invalid_regular_expression, feature_not_supported (an XQuery flag)
    constexpr std::array<std::string_view, 4> about_paths{"42601", "42704", "2201B", "0A000"};
    const bool has_path = !query_.jsonpath.empty() || !query_.message_jsonpath.empty();
    if (!has_path || std::ranges::find(about_paths, failure.sqlstate()) == about_paths.end()) return failure;
    const std::string_view what = failure.what();
    const auto prefix = failure.operation().size() + 2; // "find: "
    error refused(errc::invalid_argument, name(),
                  std::string("jsonpath is refused by the server: ")
                      .append(what.substr(std::min(prefix, what.size()))));
    return refused.with_sqlstate(failure.sqlstate());
}

batch::command find_type::build(const batch::operation_list& operations) const {
    const auto& search = static_cast<const find_operation&>(*operations.front()).search();
    return {&search.what, search.values, table_.before()};
}

} // namespace pgstate::postgres
