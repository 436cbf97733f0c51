#include "postgres/operations/sweep.hpp"

#include "sql/keys.hpp"
#include "sql/prepared.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace pgstate::postgres {
namespace {

namespace swept_row {
enum : int { rows, held_lock, found, expires_at, agent_id, session_id };
}

void add_position(wire::parameters& values, const std::optional<sweep_position>& position) {
    if (position) {
        values.add_timestamptz(position->expires_at);
        values.add_text(position->agent_id);
        values.add_text(position->session_id);
    } else {
        for (int i = 0; i < 3; ++i)
            values.add_null();
    }
}

// Planned each time: they run so seldom that a plan kept from when the table was small would cost more.
wire::statement statement_for(const sql::table_sql& table, sweep_request::kind what) {
    using enum wire::type_oid;
    if (what == sweep_request::kind::survey)
        return sql::planned_anew(table.survey_expired(), {int8, timestamptz, text, text});
    return sql::planned_anew(table.sweep(), {int8, timestamptz, text, text, timestamptz, text, text});
}

} // namespace

sweep_operation::sweep_operation(const batch::operation_type& as, sweep_request request, handler_type handler,
                                 const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::sweep, as, std::move(handler), io),
      request_(std::move(request)) {}

result<swept> sweep_operation::decode() {
    swept done{rows().int8(0, swept_row::rows), rows().boolean(0, swept_row::held_lock),
               rows().int8(0, swept_row::found)};
    if (!rows().is_null(0, swept_row::agent_id))
        done.last = sweep_position{rows().timestamptz(0, swept_row::expires_at),
                                   std::string(rows().text(0, swept_row::agent_id)),
                                   std::string(rows().text(0, swept_row::session_id))};
    return done;
}

sweep_type::sweep_type(sql::target_table& table, sweep_request::kind what)
    : operation_type({.takes_long = true}), table_(table), statement_(statement_for(table.sql(), what)) {
    statement_.verb = what == sweep_request::kind::survey ? "SELECT" : "DELETE";
}

batch::command sweep_type::build(const batch::operation_list& operations) const {
    const auto& request = static_cast<const sweep_operation&>(*operations.front()).request();
    batch::command made{&statement_, {}, table_.before()};
    made.values.add_int8(static_cast<std::int64_t>(request.most));
    add_position(made.values, request.behind);
    if (request.what == sweep_request::kind::remove) add_position(made.values, request.up_to);
    return made;
}

std::vector<int> sweep_type::pair(const batch::operation_list&, const wire::rows& rows) const {
    if (rows.size() != 1) sql::refuse_answer();
    return {0};
}

} // namespace pgstate::postgres
