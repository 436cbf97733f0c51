#ifndef PGSTATE_POSTGRES_OPERATIONS_LOOK_HPP
#define PGSTATE_POSTGRES_OPERATIONS_LOOK_HPP

#include "batch/operation_type.hpp"
#include "sql/prepared.hpp"
#include "sql/target_table.hpp"

#include <vector>

namespace pgstate::postgres {

/// Finds out which rows another session has locked, without waiting for one: it locks those that it can for a moment.
class look_type final : public batch::operation_type {
public:
    explicit look_type(sql::target_table& table);

    batch::command build(const batch::operation_list& operations) const override;
    std::vector<int> pair(const batch::operation_list& operations, const wire::rows& rows) const override;
    bool locked(const wire::rows& rows, int row) const;

private:
    sql::target_table& table_;
    sql::by_size statement_;
};

} // namespace pgstate::postgres

#endif
