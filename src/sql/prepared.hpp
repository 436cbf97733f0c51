#pragma once

#include "wire/statement.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace pgstate::sql {

using types = std::vector<wire::type_oid>;

/// A name for a prepared statement. It follows from the text alone, so that behind a pooler every process means the same
/// statement by it.
std::string statement_name(std::string_view purpose, std::string_view sql);

/// A statement that is prepared once for each connection, and whose plan the server keeps.
wire::statement prepared(std::string_view purpose, std::string sql, types parameters);
/// A statement that the server plans each time.
wire::statement planned_anew(std::string sql, types parameters);

/// A statement for a small table and for a large one: see target_table.
struct by_size {
    wire::statement small;
    wire::statement large;
    const wire::statement& of(bool large_table) const noexcept { return large_table ? large : small; }
};
/// One text, prepared under two names: its two plans must differ.
by_size prepared_by_size(std::string_view purpose, const std::string& text, const types& parameters);

/// A statement that finds rows by key: its single-row form and its batched form.
struct lookup {
    by_size one;
    by_size many;
};
/// The batched form is planned anew on a small table.
lookup make_lookup(std::string_view purpose, const std::string& one, const types& parameters_of_one,
                   const std::string& many, const types& parameters_of_many);

} // namespace pgstate::sql
