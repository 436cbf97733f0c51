#ifndef PGSTATE_POSTGRES_OPERATIONS_SETTLE_HPP
#define PGSTATE_POSTGRES_OPERATIONS_SETTLE_HPP

#include "batch/operation_type.hpp"
#include "sql/prepared.hpp"
#include "sql/target_table.hpp"

#include <vector>

namespace pgstate::postgres {

/// Reads the row of a write whose connection broke, expired or not.
class settle_type final : public batch::operation_type {
public:
    explicit settle_type(sql::target_table& table);
    batch::command build(const batch::operation_list& operations) const override;
    std::vector<int> pair(const batch::operation_list&, const wire::rows& rows) const override;

    /// What the answer says of `what`.
    batch::settlement judge(const batch::operation& what, const wire::incarnation& seen_by,
                            const wire::rows& rows, int row) const;

private:
    sql::target_table& table_;
    sql::by_size statement_;
};

/// Ends the server process that had such a write, and says whether it has ended.
class fence_type final : public batch::operation_type {
public:
    fence_type();
    batch::command build(const batch::operation_list& operations) const override;
    std::vector<int> pair(const batch::operation_list&, const wire::rows& rows) const override;

private:
    wire::statement statement_;
};

} // namespace pgstate::postgres

#endif
