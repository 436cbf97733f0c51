#include "postgres/operations/count.hpp"

#include "sql/keys.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>

#include <string_view>
#include <utility>

namespace pgstate::postgres {
namespace {

using sql::table_sql;

/// The number of rows that a plan expects, as EXPLAIN (FORMAT JSON) writes it.
result<std::int64_t> estimate_in(std::string_view plan) {
    boost::system::error_code failed;
    const auto parsed = boost::json::parse(plan, failed);
    const auto* rows = failed ? nullptr : parsed.find_pointer("/0/Plan/Plan Rows", failed);
    if (!rows || !rows->is_number())
        return error(errc::corrupt_state, "count", "the server's plan has no estimate of its rows");
    return rows->is_double() ? static_cast<std::int64_t>(rows->as_double()) : rows->to_number<std::int64_t>();
}

std::vector<int> the_only_row(const wire::rows& rows) {
    if (rows.size() != 1) sql::refuse_answer();
    return {0};
}

constexpr std::string_view of_agent = " WHERE t.agent_id = $1";

} // namespace

count_operation::count_operation(const batch::operation_type& as, std::optional<std::string> agent,
                                 bool estimate, handler_type handler,
                                 const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::count, as, std::move(handler), io), agent_(std::move(agent)),
      estimate_(estimate) {
    if (agent_) agent_id = *agent_;
    key_hash = batch::hash_key(agent_id, {});
}

result<std::int64_t> count_operation::decode() {
    if (estimate_) return estimate_in(rows().text(0, 0));
    return rows().int8(0, 0);
}

count_type::count_type(sql::target_table& table)
    : operation_type({.takes_long = true}), table_(table),
      of_agent_(sql::prepared_by_size(
          "count_agent",
          table.sql().select("count(*)", "", std::string(of_agent).append(" AND ").append(table_sql::alive)),
          {wire::type_oid::text})),
      of_all_(sql::prepared(
          "count_all", table.sql().select("count(*)", "", std::string(" WHERE ").append(table_sql::alive)),
          {})) {}

batch::command count_type::build(const batch::operation_list& operations) const {
    const auto& agent = operations.front()->agent_id;
    batch::command made{agent.empty() ? &of_all_ : &of_agent_.of(table_.large()), {}, table_.before()};
    if (!agent.empty()) made.values.add_text(agent);
    return made;
}

std::vector<int> count_type::pair(const batch::operation_list&, const wire::rows& rows) const {
    return the_only_row(rows);
}

estimate_type::estimate_type(sql::target_table& table)
    : operation_type({}), table_(table),
      of_agent_(sql::planned_anew("EXPLAIN (FORMAT JSON) " + table.sql().select("", "", of_agent),
                                  {wire::type_oid::text})),
      of_all_(sql::planned_anew("EXPLAIN (FORMAT JSON) " + table.sql().select("", "", ""), {})) {}

batch::command estimate_type::build(const batch::operation_list& operations) const {
    const auto& agent = operations.front()->agent_id;
    batch::command made{agent.empty() ? &of_all_ : &of_agent_, {}, table_.before()};
    if (!agent.empty()) made.values.add_text(agent);
    return made;
}

std::vector<int> estimate_type::pair(const batch::operation_list&, const wire::rows& rows) const {
    return the_only_row(rows);
}

} // namespace pgstate::postgres
