#ifndef PGSTATE_POSTGRES_OPERATIONS_LOAD_HPP
#define PGSTATE_POSTGRES_OPERATIONS_LOAD_HPP

#include "pgstate/agent_state.hpp"
#include "pgstate/history_window.hpp"
#include "postgres/operations/caller_operation.hpp"
#include "postgres/operations/probe.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::postgres {

/// The columns of a load's answer. It answers a probe too: it begins with the columns of one.
namespace loaded_row {
/// `first` and `messages` are only in the answer of a load with a window, and where histories may be in rows; `epoch` and
/// `in_rows` are only there.
enum : int {
    state = probed_row::version + 1,
    created_at,
    updated_at,
    expires_at,
    first,
    messages,
    epoch,
    in_rows
};
/// Of a probe: where the history is in rows, it is left out.
/// \throws error corrupt_state - of `operation`
agent_state read(const wire::rows& rows, int row, std::string_view agent_id, std::string_view session_id,
                 std::string_view operation);

/// The columns of a load of whole states, behind the ordinal.
std::string columns(const sql::histories& where);
} // namespace loaded_row

/// The parameters of sql::history_sql::join_window.
std::array<std::int64_t, 3> window_parameters(const history_window& window) noexcept;

/// The messages that are rows, as codec::decode takes them. \param first  the column of that; the others are behind it
std::optional<std::string_view> messages_in_rows(const wire::rows& rows, int row, int first);

/// Notes the part of its history that `state` was read with.
/// \param first  the column of that, before the number of all, and where histories may be in rows the epoch
/// \throws error corrupt_state - of `operation`: there are fewer messages, or more
void note_window(agent_state& state, const wire::rows& rows, int row, int first, const history_window& window,
                 std::string_view operation);

class load_operation final : public caller_operation<std::optional<agent_state>> {
public:
    load_operation(const batch::operation_type& as, std::string agent, std::string session,
                   const history_window& window, handler_type handler,
                   const boost::asio::any_completion_executor& io);

    const history_window& window() const noexcept { return window_; }

private:
    result<std::optional<agent_state>> decode() override;

    std::string agent_;
    std::string session_;
    history_window window_;
};

/// Loads of whole states.
class load_type final : public selecting_type {
public:
    explicit load_type(sql::target_table& table)
        : selecting_type(table, "load", loaded_row::columns(table.sql().where()),
                         table.sql().where().may_be_in_rows()) {}
};

/// Loads with a window; those that share a statement can have different ones.
class windowed_load_type final : public batch::operation_type {
public:
    explicit windowed_load_type(sql::target_table& table);
    batch::command build(const batch::operation_list& operations) const override;
    std::vector<int> pair(const batch::operation_list& operations, const wire::rows& rows) const override;

private:
    sql::target_table& table_;
    sql::lookup statements_;
};

} // namespace pgstate::postgres

#endif
