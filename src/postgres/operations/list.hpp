#ifndef PGSTATE_POSTGRES_OPERATIONS_LIST_HPP
#define PGSTATE_POSTGRES_OPERATIONS_LIST_HPP

#include "codec/cursor.hpp"
#include "pgstate/operations.hpp"
#include "postgres/operations/caller_operation.hpp"
#include "sql/prepared.hpp"
#include "sql/target_table.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace pgstate::postgres {

class list_operation final : public caller_operation<session_page> {
public:
    list_operation(const batch::operation_type& as, std::string agent, std::size_t limit,
                   std::optional<codec::page_position> after, handler_type handler,
                   const boost::asio::any_completion_executor& io);

    std::size_t limit() const noexcept { return limit_; }
    const std::optional<codec::page_position>& after() const noexcept { return after_; }

private:
    result<session_page> decode() override;

    std::string agent_;
    std::size_t limit_;
    std::optional<codec::page_position> after_;
};

class list_type final : public batch::operation_type {
public:
    explicit list_type(sql::target_table& table);
    batch::command build(const batch::operation_list& operations) const override;
    std::vector<int> pair(const batch::operation_list&, const wire::rows&) const override { return {0}; }

private:
    sql::target_table& table_;
    sql::by_size first_;
    sql::by_size next_;
};

class list_agents_operation final : public caller_operation<agent_page> {
public:
    list_agents_operation(const batch::operation_type& as, std::size_t limit,
                          std::optional<codec::page_position> after, handler_type handler,
                          const boost::asio::any_completion_executor& io);

    std::size_t limit() const noexcept { return limit_; }
    const std::optional<codec::page_position>& after() const noexcept { return after_; }

private:
    result<agent_page> decode() override;

    std::size_t limit_;
    std::optional<codec::page_position> after_;
};

class list_agents_type final : public batch::operation_type {
public:
    explicit list_agents_type(sql::target_table& table);
    batch::command build(const batch::operation_list& operations) const override;
    std::vector<int> pair(const batch::operation_list&, const wire::rows&) const override { return {0}; }

private:
    sql::target_table& table_;
    wire::statement first_;
    wire::statement next_;
};

} // namespace pgstate::postgres

#endif
