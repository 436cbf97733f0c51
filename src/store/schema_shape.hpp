#ifndef PGSTATE_STORE_SCHEMA_SHAPE_HPP
#define PGSTATE_STORE_SCHEMA_SHAPE_HPP

#include "store/schema.hpp"

#include <string>
#include <vector>

namespace pgstate::store {

struct column_shape {
    std::string name;
    std::string type; ///< as format_type() writes it
    bool not_null = false;
    bool has_default = false;
    bool generated = false; ///< cannot be written
    bool deterministic_collation = true;
};

struct index_shape {
    std::string name;
    std::string method;
    std::vector<std::string> columns; ///< the keys in order; empty for an expression
    bool primary = false;
    std::string predicate{}; ///< of a partial index, as pg_get_expr() writes it; empty: over all rows
    bool usable = true;      ///< finished
    bool immediate = true;   ///< false: deferrable, which ON CONFLICT cannot use
};

/// What the server's catalog says about the configured table.
struct table_shape {
    std::string schema; ///< where the table is or would be made; empty: nowhere
    bool schema_exists = false;
    bool exists = false;
    char kind = 'r'; ///< pg_class.relkind
    bool temporary = false;
    std::vector<column_shape> columns;
    std::vector<index_shape> indexes;
    std::vector<std::string>
        taken_index_names; ///< of the wanted ones, those that the schema has for anything
    int recorded = 0;      ///< the number of the last migration, as it was written down
};

/// A shape compared with the wanted one.
struct shape_difference {
    /// What a migration must not touch: each names what is and what should be.
    std::vector<std::string> refusals;
    /// What a migration would bring, in words.
    std::vector<std::string> missing;
    /// How it would.
    schema_plan plan;

    bool current() const noexcept { return refusals.empty() && plan.empty(); }
};

shape_difference compare(const table_shape& actual, const settings::resolved_config& wanted);

/// The first few of `differences` as one phrase.
std::string list_differences(const std::vector<std::string>& differences);

} // namespace pgstate::store

#endif
