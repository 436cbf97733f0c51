#ifndef PGSTATE_POSTGRES_OPERATIONS_SWEEP_HPP
#define PGSTATE_POSTGRES_OPERATIONS_SWEEP_HPP

#include "postgres/operations/caller_operation.hpp"
#include "sql/target_table.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pgstate::postgres {

/// The result of one batch of the sweeper.
struct swept {
    std::int64_t rows = 0;  ///< deleted
    bool held_lock = false; ///< false: another store sweeps the table at the moment
};

class sweep_operation final : public caller_operation<swept> {
public:
    /// \param most  rows to delete
    sweep_operation(const batch::operation_type& as, std::size_t most, handler_type handler,
                    const boost::asio::any_completion_executor& io);

    std::size_t most() const noexcept { return most_; }

private:
    result<swept> decode() override;

    std::size_t most_;
};

/// Deletes expired rows. It counts as a read, because it may be sent again.
class sweep_type final : public batch::operation_type {
public:
    explicit sweep_type(sql::target_table& table);
    batch::command build(const batch::operation_list& operations) const override;
    std::vector<int> pair(const batch::operation_list&, const wire::rows& rows) const override;

private:
    sql::target_table& table_;
    wire::statement statement_;
};

} // namespace pgstate::postgres

#endif
