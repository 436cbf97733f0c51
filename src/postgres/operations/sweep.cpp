#include "postgres/operations/sweep.hpp"

#include "sql/keys.hpp"
#include "sql/prepared.hpp"

#include <utility>

namespace pgstate::postgres {
namespace {

namespace swept_row {
enum : int { rows, held_lock };
}

} // namespace

sweep_operation::sweep_operation(const batch::operation_type& as, std::size_t most, handler_type handler,
                                 const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::sweep, as, std::move(handler), io), most_(most) {}

result<swept> sweep_operation::decode() {
    return swept{rows().int8(0, swept_row::rows), rows().boolean(0, swept_row::held_lock)};
}

// Planned each time: it runs so seldom that a plan kept from when the table was small would cost more.
sweep_type::sweep_type(sql::target_table& table)
    : operation_type({.takes_long = true}), table_(table),
      statement_(sql::planned_anew(table.sql().sweep(), {wire::type_oid::int8})) {
    statement_.verb = "DELETE";
}

batch::command sweep_type::build(const batch::operation_list& operations) const {
    const auto& sweep = static_cast<const sweep_operation&>(*operations.front());
    batch::command made{&statement_, {}, table_.before()};
    made.values.add_int8(static_cast<std::int64_t>(sweep.most()));
    return made;
}

std::vector<int> sweep_type::pair(const batch::operation_list&, const wire::rows& rows) const {
    if (rows.size() != 1) sql::refuse_answer();
    return {0};
}

} // namespace pgstate::postgres
