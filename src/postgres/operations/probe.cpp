#include "postgres/operations/probe.hpp"

#include "sql/keys.hpp"

namespace pgstate::postgres {

using sql::table_sql;

std::int64_t probed_row::version_in(const wire::rows& rows, int row) {
    return row < 0 ? 0 : rows.int8(row, version);
}

std::string well_formed_in(const sql::histories& where) {
    if (!where.may_be_in_rows()) return std::string(well_formed);
    const auto without_history = well_formed.substr(0, well_formed.rfind(" && "));
    return std::string("CASE WHEN t.epoch IS NULL THEN ")
        .append(well_formed)
        .append(" ELSE ")
        .append(without_history)
        .append("') END");
}

std::string in_rows_column(const sql::histories& where) {
    return where.may_be_in_rows() ? "t.epoch IS NOT NULL" : "false";
}

std::string columns_where_ill_formed(const sql::histories& where) {
    return std::string("t.version, CASE WHEN (")
        .append(well_formed_in(where))
        .append(") IS NOT TRUE THEN t.state END, t.created_at, t.updated_at, t.expires_at, ")
        .append(in_rows_column(where));
}

selecting_type::selecting_type(sql::target_table& table, std::string_view purpose, std::string_view columns,
                               bool looks_further)
    : operation_type({.keyed = true, .shares = true}), table_(table), looks_further_(looks_further) {
    using enum wire::type_oid;
    const auto& sql = table.sql();
    const auto one = std::string("1::bigint, ").append(columns);
    const auto many = std::string("u.n, ").append(columns);
    statements_ = sql::make_lookup(
        purpose,
        sql.select(one, "",
                   std::string(" WHERE ").append(table_sql::by_key).append(" AND ").append(table_sql::alive)),
        {text, text},
        sql.select(many, "unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(a, s, n) JOIN ",
                   std::string(" ON ").append(table_sql::by_input).append(" AND ").append(table_sql::alive)),
        {text_array, text_array});
}

batch::command selecting_type::build(const batch::operation_list& operations) const {
    const bool one = operations.size() == 1;
    const bool large = table_.large();
    batch::command made{&(one ? statements_.one : statements_.many).of(large),
                        {},
                        (one || large) && !looks_further_ ? table_.before() : table_.before_lookups()};
    one ? sql::add_key(made.values, *operations.front()) : sql::add_keys(made.values, operations);
    return made;
}

std::vector<int> selecting_type::pair(const batch::operation_list& operations, const wire::rows& rows) const {
    return operations.size() == 1 ? std::vector{sql::only_row(rows)}
                                  : sql::pair_by_ordinal(operations, rows, probed_row::ordinal);
}

} // namespace pgstate::postgres
