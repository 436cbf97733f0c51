#include "postgres/operations/touch.hpp"

#include "codec/change.hpp"
#include "postgres/operations/probe.hpp"

#include <utility>

namespace pgstate::postgres {

using sql::table_sql;

touch_operation::touch_operation(const batch::operation_type& as, std::string agent, std::string session,
                                 std::chrono::milliseconds ttl, handler_type handler,
                                 const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::touch, as, std::move(handler), io), agent_(std::move(agent)),
      session_(std::move(session)), ttl_(ttl) {
    set_key(agent_, session_);
}

bool touch_operation::wants_retry(const wire::rows& rows, int row) {
    return row >= 0 && contradicted_.worth_retry(probed_row::version_in(rows, row));
}

result<saved> touch_operation::decode() {
    if (row() < 0) return codec::not_found("touch");
    return probed() ? write_suppressed("touch") : written_row::read(*this, rows(), row(), true);
}

touch_type::touch_type(sql::target_table& table)
    : writing_type(table, false),
      statement_(sql::prepared_by_size(
          "touch",
          table.sql().touch(table_sql::expiry_in("$3"), table_sql::by_key, written_row::columns(true)),
          {wire::type_oid::text, wire::type_oid::text, wire::type_oid::int8})) {}

batch::command touch_type::build_without_name(const batch::operation_list& operations) const {
    const auto& touch = static_cast<const touch_operation&>(*operations.front());
    batch::command made{&statement_.of(table().large()), {}, table().before()};
    sql::add_key(made.values, touch);
    made.values.add_int8(touch.ttl().count());
    return made;
}

} // namespace pgstate::postgres
