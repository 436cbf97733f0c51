#ifndef PGSTATE_POSTGRES_OPERATIONS_SINGLE_READ_HPP
#define PGSTATE_POSTGRES_OPERATIONS_SINGLE_READ_HPP

#include "batch/operation_type.hpp"
#include "sql/target_table.hpp"
#include "wire/statement.hpp"

#include <utility>
#include <vector>

namespace pgstate::postgres {

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
