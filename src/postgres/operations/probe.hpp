#ifndef PGSTATE_POSTGRES_OPERATIONS_PROBE_HPP
#define PGSTATE_POSTGRES_OPERATIONS_PROBE_HPP

#include "batch/operation_type.hpp"
#include "sql/prepared.hpp"
#include "sql/target_table.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace pgstate::postgres {

namespace probed_row {
enum : int { ordinal, version };

/// 0 for no row.
std::int64_t version_in(const wire::rows& rows, int row);
} // namespace probed_row

/// Statements that select columns of states by key: loads and probes.
class selecting_type : public batch::operation_type {
public:
    /// \param columns  follow the ordinal in the answer
    selecting_type(sql::target_table& table, std::string_view purpose, std::string_view columns);

    batch::command build(const batch::operation_list& operations) const final;
    std::vector<int> pair(const batch::operation_list& operations, const wire::rows& rows) const final;

private:
    sql::target_table& table_;
    sql::lookup statements_;
};

/// Reads the version that a conditional write met which found no matching row.
class probe_type final : public selecting_type {
public:
    explicit probe_type(sql::target_table& table) : selecting_type(table, "probe", "t.version") {}
};

} // namespace pgstate::postgres

#endif
