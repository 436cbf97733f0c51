#include "postgres/operations/erase.hpp"

#include "codec/change.hpp"
#include "postgres/operations/probe.hpp"

#include <string>
#include <utility>

namespace pgstate::postgres {

using sql::table_sql;

erase_operation::erase_operation(const batch::operation_type& as, std::string agent, std::string session,
                                 std::optional<std::int64_t> if_version, handler_type handler,
                                 const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::erase, as, std::move(handler), io), agent_(std::move(agent)),
      session_(std::move(session)), if_version_(if_version) {
    set_key(agent_, session_);
}

/// Of a row that it should have found.
bool erase_operation::wants_retry(const wire::rows& rows, int row) {
    const auto version = probed_row::version_in(rows, row);
    return row >= 0 && if_version_.value_or(version) == version && contradicted_.worth_retry(version);
}

result<bool> erase_operation::decode() {
    if (!probed()) return row() >= 0;
    if (row() < 0) return false;
    const auto version = probed_row::version_in(rows(), row());
    if (if_version_ && *if_version_ != version) return codec::conflict("erase", *if_version_, version);
    return write_suppressed("erase");
}

erase_type::erase_type(sql::target_table& table) : writing_type(table, true, pairing::ordinal) {
    using enum wire::type_oid;
    statements_ = sql::make_lookup(
        "erase", table.sql().erase("", table_sql::by_key, written_row::erased_columns), {text, text},
        table.sql().erase(" USING unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(a, s, n)",
                          table_sql::by_input, std::string(written_row::erased_columns) + ", u.n"),
        {text_array, text_array});
}

batch::command erase_type::build_without_name(const batch::operation_list& operations) const {
    const bool one = operations.size() == 1;
    const bool large = table().large();
    batch::command made{&(one ? statements_.one : statements_.many).of(large),
                        {},
                        one || large ? table().before() : table().before_lookups()};
    one ? sql::add_key(made.values, *operations.front()) : sql::add_keys(made.values, operations);
    return made;
}

erase_version_type::erase_version_type(sql::target_table& table)
    : writing_type(table, false),
      statement_(
          sql::prepared_by_size("erase_version",
                                table.sql().erase("", std::string(table_sql::by_key) + " AND t.version = $3",
                                                  written_row::erased_columns),
                                {wire::type_oid::text, wire::type_oid::text, wire::type_oid::int8})) {}

batch::command erase_version_type::build_without_name(const batch::operation_list& operations) const {
    const auto& erase = *operations.front();
    batch::command made{&statement_.of(table().large()), {}, table().before()};
    sql::add_key(made.values, erase);
    made.values.add_int8(*erase.if_version());
    return made;
}

} // namespace pgstate::postgres
