#include "postgres/operations/list.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

namespace pgstate::postgres {
namespace {

using sql::table_sql;

namespace listed_row {
enum : int { session_id, version, created_at, updated_at };
}
namespace listed_agent_row {
enum : int { agent_id, sessions, updated_at };
}

std::string list_sql(const table_sql& sql, bool first) {
    // Times may be NULL in a table that others fill; on pages they count as the epoch, as they load.
    constexpr std::string_view updated = "coalesce(t.updated_at, 'epoch'::timestamptz)";
    std::string condition = std::string(" WHERE t.agent_id = $1 AND ").append(table_sql::alive);
    if (!first) condition.append(" AND (").append(updated).append(", t.session_id COLLATE \"C\") < ($3, $4)");
    condition.append(" ORDER BY ").append(updated).append(" DESC, t.session_id COLLATE \"C\" DESC LIMIT $2");
    return sql.select("t.session_id, t.version, t.created_at, t.updated_at", "", condition);
}

std::string list_agents_sql(const table_sql& sql, bool first) {
    // In the database's collation, which is that of the primary key: a page reads its own agents' rows and no others.
    std::string condition = std::string(" WHERE ").append(table_sql::alive);
    if (!first) condition.append(" AND t.agent_id > $2");
    condition.append(" GROUP BY t.agent_id ORDER BY t.agent_id LIMIT $1");
    return sql.select("t.agent_id, count(*), max(t.updated_at)", "", condition);
}

/// One more than asked for, to know whether there is a next page.
std::int64_t rows_for(std::size_t limit) {
    return static_cast<std::int64_t>(limit) + 1;
}

} // namespace

list_operation::list_operation(const batch::operation_type& as, std::string agent, std::size_t limit,
                               std::optional<codec::page_position> after, handler_type handler,
                               const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::list, as, std::move(handler), io), agent_(std::move(agent)),
      limit_(limit), after_(std::move(after)) {
    agent_id = agent_;
    key_hash = batch::hash_key(agent_id, {});
    bytes = agent_.size();
}

result<session_page> list_operation::decode() {
    session_page page;
    const auto found = static_cast<std::size_t>(rows().size());
    const auto shown = std::min(found, limit_);
    page.sessions.reserve(shown);
    for (std::size_t i = 0; i < shown; ++i) {
        const int at = static_cast<int>(i);
        page.sessions.push_back(
            {std::string(rows().text(at, listed_row::session_id)), rows().int8(at, listed_row::version),
             rows().timestamptz(at, listed_row::created_at), rows().timestamptz(at, listed_row::updated_at)});
    }
    if (found > shown)
        page.next =
            codec::encode_cursor(codec::query_kind::list, agent_,
                                 {rows().server_time(static_cast<int>(shown) - 1, listed_row::updated_at),
                                  {},
                                  page.sessions.back().session_id});
    return page;
}

list_type::list_type(sql::target_table& table)
    : operation_type({}), table_(table),
      first_(sql::prepared_by_size("list", list_sql(table.sql(), true),
                                   {wire::type_oid::text, wire::type_oid::int8})),
      next_(sql::prepared_by_size(
          "list_next", list_sql(table.sql(), false),
          {wire::type_oid::text, wire::type_oid::int8, wire::type_oid::timestamptz, wire::type_oid::text})) {}

batch::command list_type::build(const batch::operation_list& operations) const {
    const auto& list = static_cast<const list_operation&>(*operations.front());
    batch::command made{&(list.after() ? next_ : first_).of(table_.large()), {}, table_.before()};
    made.values.add_text(list.agent_id);
    made.values.add_int8(rows_for(list.limit()));
    if (list.after()) {
        made.values.add_server_time(list.after()->time);
        made.values.add_text(list.after()->session_id);
    }
    return made;
}

list_agents_operation::list_agents_operation(const batch::operation_type& as, std::size_t limit,
                                             std::optional<codec::page_position> after, handler_type handler,
                                             const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::list_agents, as, std::move(handler), io), limit_(limit),
      after_(std::move(after)) {}

result<agent_page> list_agents_operation::decode() {
    agent_page page;
    const auto found = static_cast<std::size_t>(rows().size());
    const auto shown = std::min(found, limit_);
    page.agents.reserve(shown);
    for (std::size_t i = 0; i < shown; ++i) {
        const int at = static_cast<int>(i);
        page.agents.push_back({std::string(rows().text(at, listed_agent_row::agent_id)),
                               rows().int8(at, listed_agent_row::sessions),
                               rows().timestamptz(at, listed_agent_row::updated_at)});
    }
    if (found > shown)
        page.next =
            codec::encode_cursor(codec::query_kind::list_agents, {}, {{}, page.agents.back().agent_id, {}});
    return page;
}

// The limit matters to their plans, so it is planned with.
list_agents_type::list_agents_type(sql::target_table& table)
    : operation_type({.takes_long = true}), table_(table),
      first_(sql::planned_anew(list_agents_sql(table.sql(), true), {wire::type_oid::int8})),
      next_(sql::planned_anew(list_agents_sql(table.sql(), false),
                              {wire::type_oid::int8, wire::type_oid::text})) {}

batch::command list_agents_type::build(const batch::operation_list& operations) const {
    const auto& list = static_cast<const list_agents_operation&>(*operations.front());
    batch::command made{list.after() ? &next_ : &first_, {}, table_.before_lookups()};
    made.values.add_int8(rows_for(list.limit()));
    if (list.after()) made.values.add_text(list.after()->agent_id);
    return made;
}

} // namespace pgstate::postgres
