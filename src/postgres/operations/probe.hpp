#ifndef PGSTATE_POSTGRES_OPERATIONS_PROBE_HPP
#define PGSTATE_POSTGRES_OPERATIONS_PROBE_HPP

#include "batch/operation_type.hpp"
#include "sql/prepared.hpp"
#include "sql/target_table.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate::postgres {

namespace probed_row {
enum : int { ordinal, version };

/// 0 for no row.
std::int64_t version_in(const wire::rows& rows, int row);
} // namespace probed_row

/// Whether load() can read the document's parts: an object with objects and an array, which the Go SDK may have written as null.
inline constexpr std::string_view well_formed =
    "jsonb_path_match(t.state, '$.type() == \"object\""
    " && (!exists($.data) || $.data.type() == \"object\" || $.data.type() == \"null\")"
    " && (!exists($.context) || $.context.type() == \"object\" || $.context.type() == \"null\")"
    " && (!exists($.history) || $.history.type() == \"array\" || $.history.type() == \"null\")')";

/// The same, wherever the history is.
std::string well_formed_in(const sql::histories& where);

/// The columns of a load, behind the ordinal, and last whether the history is in rows. The document is NULL where it is
/// well formed: only one that is not is read.
std::string columns_where_ill_formed(const sql::histories& where);
/// That last one.
std::string in_rows_column(const sql::histories& where);

/// Statements that select columns of states by key: loads and probes.
class selecting_type : public batch::operation_type {
public:
    /// \param columns        follow the ordinal in the answer
    /// \param looks_further  also at another table, whose size is not known
    selecting_type(sql::target_table& table, std::string_view purpose, std::string_view columns,
                   bool looks_further = false);

    batch::command build(const batch::operation_list& operations) const final;
    std::vector<int> pair(const batch::operation_list& operations, const wire::rows& rows) const final;

private:
    sql::target_table& table_;
    sql::lookup statements_;
    bool looks_further_;
};

/// Reads the version that a conditional write met which found no matching row.
class probe_type final : public selecting_type {
public:
    explicit probe_type(sql::target_table& table) : selecting_type(table, "probe", "t.version") {}
};

/// Reads why an append or a merge changed nothing: the version, and a document that is not `well_formed`.
class part_probe_type final : public selecting_type {
public:
    explicit part_probe_type(sql::target_table& table)
        : selecting_type(table, "part_probe", columns_where_ill_formed(table.sql().where())) {}
};

/// Reads why an increment changed nothing: the document.
class document_probe_type final : public selecting_type {
public:
    explicit document_probe_type(sql::target_table& table)
        : selecting_type(table, "probe_document",
                         "t.version, t.state, t.created_at, t.updated_at, t.expires_at") {}
};

/// Adds the values of a statement for one operation.
using add_values = void (*)(wire::parameters& values, const batch::operation& what);

/// A statement that reads, and that no operations share. It is planned each time, for the index.
class single_read final : public batch::operation_type {
public:
    single_read(sql::target_table& table, wire::statement statement, add_values add)
        : operation_type({.keyed = true}), table_(table), statement_(std::move(statement)), add_(add) {}

    batch::command build(const batch::operation_list& operations) const override {
        batch::command made{&statement_, {}, table_.before_lookups()};
        add_(made.values, *operations.front());
        return made;
    }
    std::vector<int> pair(const batch::operation_list&, const wire::rows& rows) const override {
        return {rows.size() == 0 ? -1 : 0};
    }

private:
    sql::target_table& table_;
    wire::statement statement_;
    add_values add_;
};

} // namespace pgstate::postgres

#endif
