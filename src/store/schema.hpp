#ifndef PGSTATE_STORE_SCHEMA_HPP
#define PGSTATE_STORE_SCHEMA_HPP

#include "config/resolved.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::store {

/// A column that the store's statements use.
struct column_definition {
    std::string_view name;
    std::string_view type; ///< as the server's format_type() writes it
    bool not_null;         ///< false: both are fine
    bool needs_default;    ///< for writers that do not know the column
    int since;             ///< the migration that adds it; 0: in the Go SDK's table already
};

/// A secondary index; its name is the table's index_name(suffix).
struct index_definition {
    std::string_view suffix;
    std::string_view method;
    std::string_view column;
    std::string_view operator_class{}; ///< empty: the default one
    std::string_view
        predicate{}; ///< of a partial index, as the server's pg_get_expr() writes it; empty: all rows
};

/// One step from the Go SDK's table to the present one. Steps only ever add: nullable or defaulted columns, which
/// other versions and the Go SDK need not know.
struct migration {
    int number;
    /// The statement; must do no harm when it has been run before.
    std::string (*sql)(std::string_view quoted_table);
};

/// Every column, every step in order. A new version adds a row to each.
std::span<const column_definition> columns() noexcept;
std::span<const migration> migrations() noexcept;

std::vector<index_definition> wanted_indexes(const settings::resolved_config& config);

/// What is still to be done to a table.
struct schema_plan {
    bool create_table = false;
    std::vector<migration> migrations;
    std::vector<index_definition> indexes;
    int record = 0; ///< the number to write down after `migrations`

    bool empty() const noexcept { return !create_table && migrations.empty() && indexes.empty(); }
};

/// Everything, for a table that does not exist.
schema_plan complete_plan(const settings::resolved_config& config);

/// `plan` as statements, in the order in which they must run, without a transaction around them.
std::vector<std::string> statements(const schema_plan& plan, const settings::resolved_config& config,
                                    std::string_view quoted_table);

/// The number is kept in the comment of the table's column `version`, which is pgstate's own: it moves with the table
/// through pg_dump, renaming and SET SCHEMA, tells two tables of one schema apart, needs no second table (and no
/// rights on one), and no user has a reason to write there. Tools that drop comments do no harm, since a step that
/// added columns is also recognised by them.
std::string migration_record(int number);

/// The number in such a comment; 0 if it is none.
int recorded_migration(std::string_view comment) noexcept;

/// How long a migration waits for a lock on the table, unless the session has a lock_timeout of its own. While an ALTER
/// TABLE waits, everything that comes after it waits too.
inline constexpr std::string_view table_lock_timeout = "10s";

/// The text whose hash is the advisory lock of a table's migrations.
std::string migration_lock_name(std::string_view schema, std::string_view table);

/// The complete DDL for those who apply it by hand: one transaction that may be run more than once and that also
/// takes over a table which the Go SDK made. With an unqualified table name it goes to the session's current schema.
std::string schema_sql(const settings::resolved_config& config);

} // namespace pgstate::store

#endif
