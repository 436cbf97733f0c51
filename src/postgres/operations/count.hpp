#ifndef PGSTATE_POSTGRES_OPERATIONS_COUNT_HPP
#define PGSTATE_POSTGRES_OPERATIONS_COUNT_HPP

#include "postgres/operations/caller_operation.hpp"
#include "sql/prepared.hpp"
#include "sql/target_table.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgstate::postgres {

/// Counts all states, or those of an agent; or asks for an estimate.
class count_operation final : public caller_operation<std::int64_t> {
public:
    count_operation(const batch::operation_type& as, std::optional<std::string> agent, bool estimate,
                    handler_type handler, const boost::asio::any_completion_executor& io);

private:
    result<std::int64_t> decode() override;

    std::optional<std::string> agent_;
    bool estimate_;
};

class count_type final : public batch::operation_type {
public:
    explicit count_type(sql::target_table& table);
    batch::command build(const batch::operation_list& operations) const override;
    std::vector<int> pair(const batch::operation_list&, const wire::rows& rows) const override;

private:
    sql::target_table& table_;
    sql::by_size of_agent_;
    wire::statement of_all_;
};

class estimate_type final : public batch::operation_type {
public:
    explicit estimate_type(sql::target_table& table);
    batch::command build(const batch::operation_list& operations) const override;
    std::vector<int> pair(const batch::operation_list&, const wire::rows& rows) const override;

private:
    sql::target_table& table_;
    wire::statement of_agent_;
    wire::statement of_all_;
};

} // namespace pgstate::postgres

#endif
