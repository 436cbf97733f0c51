#ifndef PGSTATE_POSTGRES_OPERATIONS_TOUCH_HPP
#define PGSTATE_POSTGRES_OPERATIONS_TOUCH_HPP

#include "postgres/operations/caller_operation.hpp"
#include "postgres/operations/written_row.hpp"
#include "sql/prepared.hpp"

#include <chrono>
#include <string>

namespace pgstate::postgres {

class touch_operation final : public caller_operation<saved> {
public:
    /// \param ttl  0: never expires
    touch_operation(const batch::operation_type& as, std::string agent, std::string session,
                    std::chrono::milliseconds ttl, handler_type handler,
                    const boost::asio::any_completion_executor& io);

    std::chrono::milliseconds ttl() const noexcept { return ttl_; }
    bool repeatable() const noexcept override { return true; }
    bool probes() const noexcept override { return true; } // nothing to touch, or it was not touched
    bool wants_retry(const wire::rows& rows, int row) override;

private:
    result<saved> decode() override;

    std::string agent_;
    std::string session_;
    std::chrono::milliseconds ttl_;
    contradictions contradicted_;
};

class touch_type final : public writing_type {
public:
    explicit touch_type(sql::target_table& table);

private:
    batch::command build_without_name(const batch::operation_list& operations) const override;
    bool leaves_name() const noexcept override { return false; }

    sql::by_size statement_;
};

} // namespace pgstate::postgres

#endif
