#include "postgres/operations/look.hpp"

#include "sql/keys.hpp"

#include <string>

namespace pgstate::postgres {
namespace {

using sql::table_sql;

enum : int { ordinal, is_locked };

/// A row that cannot be locked is not waited for, so it is in `found` and not in `free`.
std::string find_locked(const table_sql& sql) {
    const auto by_input = std::string(" ON ").append(table_sql::by_input);
    return std::string("WITH u AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::text[])"
                       " WITH ORDINALITY AS u(a, s, n)), free AS MATERIALIZED (")
        .append(sql.select("u.n", "u JOIN ", by_input + " FOR NO KEY UPDATE OF t SKIP LOCKED"))
        .append("), found AS MATERIALIZED (")
        .append(sql.select("u.n", "u JOIN ", by_input))
        .append(") SELECT found.n, NOT EXISTS (SELECT FROM free WHERE free.n = found.n) FROM found");
}

const sql::types two_arrays{wire::type_oid::text_array, wire::type_oid::text_array};

} // namespace

look_type::look_type(sql::target_table& table)
    : operation_type({.keyed = true, .shares = true}),
      table_(table), statement_{sql::planned_anew(find_locked(table.sql()), two_arrays),
                                sql::prepared("look", find_locked(table.sql()), two_arrays)} {}

batch::command look_type::build(const batch::operation_list& operations) const {
    const bool large = table_.large();
    batch::command made{&statement_.of(large), {}, large ? table_.before() : table_.before_lookups()};
    sql::add_keys(made.values, operations);
    return made;
}

std::vector<int> look_type::pair(const batch::operation_list& operations, const wire::rows& rows) const {
    return sql::pair_by_ordinal(operations, rows, ordinal);
}

bool look_type::locked(const wire::rows& rows, int row) const {
    return row >= 0 && rows.boolean(row, is_locked);
}

} // namespace pgstate::postgres
