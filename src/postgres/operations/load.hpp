#ifndef PGSTATE_POSTGRES_OPERATIONS_LOAD_HPP
#define PGSTATE_POSTGRES_OPERATIONS_LOAD_HPP

#include "pgstate/agent_state.hpp"
#include "postgres/operations/caller_operation.hpp"
#include "postgres/operations/probe.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace pgstate::postgres {

/// The columns of a load's answer. It answers a probe too: it begins with the columns of one.
namespace loaded_row {
enum : int { state = probed_row::version + 1, created_at, updated_at, expires_at };
/// \throws error corrupt_state - of `operation`
agent_state read(const wire::rows& rows, int row, std::string_view agent_id, std::string_view session_id,
                 std::string_view operation);
} // namespace loaded_row

class load_operation final : public caller_operation<std::optional<agent_state>> {
public:
    load_operation(const batch::operation_type& as, std::string agent, std::string session,
                   handler_type handler, const boost::asio::any_completion_executor& io);

private:
    result<std::optional<agent_state>> decode() override;

    std::string agent_;
    std::string session_;
};

class load_type final : public selecting_type {
public:
    explicit load_type(sql::target_table& table)
        : selecting_type(table, "load", "t.version, t.state, t.created_at, t.updated_at, t.expires_at") {}
};

} // namespace pgstate::postgres

#endif
