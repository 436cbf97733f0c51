#ifndef PGSTATE_POSTGRES_OPERATIONS_SWEEP_HPP
#define PGSTATE_POSTGRES_OPERATIONS_SWEEP_HPP

#include "postgres/operations/caller_operation.hpp"
#include "postgres/sweep_course.hpp"
#include "sql/target_table.hpp"

#include <vector>

namespace pgstate::postgres {

/// One statement of the sweeper.
class sweep_operation final : public caller_operation<swept> {
public:
    sweep_operation(const batch::operation_type& as, sweep_request request, handler_type handler,
                    const boost::asio::any_completion_executor& io);

    const sweep_request& request() const noexcept { return request_; }

private:
    result<swept> decode() override;

    sweep_request request_;
};

/// Deletes expired rows, or surveys them. It counts as a read, because it may be sent again.
class sweep_type final : public batch::operation_type {
public:
    sweep_type(sql::target_table& table, sweep_request::kind what);
    batch::command build(const batch::operation_list& operations) const override;
    std::vector<int> pair(const batch::operation_list&, const wire::rows& rows) const override;

private:
    sql::target_table& table_;
    wire::statement statement_;
};

} // namespace pgstate::postgres

#endif
