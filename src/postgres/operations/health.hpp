#ifndef PGSTATE_POSTGRES_OPERATIONS_HEALTH_HPP
#define PGSTATE_POSTGRES_OPERATIONS_HEALTH_HPP

#include "pgstate/operations.hpp"
#include "pool/core.hpp"
#include "postgres/operations/caller_operation.hpp"
#include "sql/target_table.hpp"

#include <memory>
#include <vector>

namespace pgstate::postgres {

class health_operation final : public caller_operation<health_report> {
public:
    health_operation(const batch::operation_type& as, std::shared_ptr<pool::core> pool, handler_type handler,
                     const boost::asio::any_completion_executor& io);

private:
    result<health_report> decode() override;

    std::shared_ptr<pool::core> pool_;
    batch::clock::time_point started_ = batch::clock::now();
};

class health_type final : public batch::operation_type {
public:
    explicit health_type(sql::target_table& table);
    batch::command build(const batch::operation_list& operations) const override;
    std::vector<int> pair(const batch::operation_list&, const wire::rows& rows) const override;

private:
    sql::target_table& table_;
    wire::statement statement_;
};

} // namespace pgstate::postgres

#endif
