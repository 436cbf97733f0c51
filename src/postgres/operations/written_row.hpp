#ifndef PGSTATE_POSTGRES_OPERATIONS_WRITTEN_ROW_HPP
#define PGSTATE_POSTGRES_OPERATIONS_WRITTEN_ROW_HPP

#include "batch/operation_type.hpp"
#include "pgstate/operations.hpp"
#include "sql/keys.hpp"
#include "sql/target_table.hpp"
#include "wire/rows.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::postgres {

/// The columns of every write's answer. Erased rows have the first three; a save has no `expires_at` where no caller gave
/// it a ttl.
namespace written_row {
enum : int { horizon, agent_id, session_id, version, created_at, updated_at, expires_at };

inline constexpr std::string_view erased_columns =
    "pg_snapshot_xmin(pg_current_snapshot()), t.agent_id, t.session_id";
/// With and without `expires_at`.
std::string columns(bool with_expiry);

/// \param with_expiry  the row has that column
saved read(const wire::rows& rows, int row, bool with_expiry);
} // namespace written_row

/// The time in `column`; NULL is nothing.
std::optional<timestamp> expiry_in(const wire::rows& rows, int row, int column);

/// What the types of writing operations have in common: a name for each statement, and the answer's horizon.
class writing_type : public batch::operation_type {
public:
    writing_type(sql::target_table& table, bool may_share) noexcept
        : operation_type({.writes = true, .keyed = true, .shares = may_share}), table_(table) {}

    batch::command build(const batch::operation_list& operations) const final;
    std::vector<int> pair(const batch::operation_list& operations, const wire::rows& rows) const override;
    std::optional<std::uint64_t> horizon(const wire::rows& rows) const final;

protected:
    sql::target_table& table() const noexcept { return table_; }

private:
    /// All but the name, which is the last parameter of the statements that leave it in their rows.
    virtual batch::command build_without_name(const batch::operation_list& operations) const = 0;
    virtual bool leaves_name() const noexcept { return true; }

    sql::target_table& table_;
};

} // namespace pgstate::postgres

#endif
