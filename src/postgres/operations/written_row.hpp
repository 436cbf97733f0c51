#ifndef PGSTATE_POSTGRES_OPERATIONS_WRITTEN_ROW_HPP
#define PGSTATE_POSTGRES_OPERATIONS_WRITTEN_ROW_HPP

#include "batch/operation_type.hpp"
#include "pgstate/error.hpp"
#include "pgstate/operations.hpp"
#include "pgstate/result.hpp"
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
/// Errors: corrupt_state - the row has another key than `what`
result<saved> read(const batch::operation& what, const wire::rows& rows, int row, bool with_expiry);
} // namespace written_row

/// The state of (agent_id, session_id) was written, and its row has another key.
error stored_elsewhere(std::string_view operation, std::string_view agent_id, std::string_view session_id,
                       std::string_view stored_agent_id, std::string_view stored_session_id);

/// A statement found no row to write, though there is nothing that it could conflict with.
error write_suppressed(std::string_view operation);

/// Counts how often that was seen of one write: its statement found no row to write, and a look after it found none to
/// conflict with, or one that the statement should have found. Other writers can be the reason: they created or erased the
/// row in between. Something in the table can be the reason as well, and then it will be each time.
class contradictions {
public:
    /// \param version  that the look found; 0: there is no row
    /// \return false: another try would be like this one
    bool worth_retry(std::int64_t version) noexcept {
        // No version is drawn twice: this row was there all the while.
        const bool was_there = version != 0 && version == last_;
        last_ = version;
        return !was_there && ++seen_ < most;
    }

private:
    /// More than races explain: each is a write of somebody else's within the time of two statements. Without an end, such a
    /// write would be sent again until its time runs out, thousands of times a second.
    static constexpr int most = 5;

    int seen_ = 0;
    std::int64_t last_ = 0;
};

/// The time in `column`; NULL is nothing.
std::optional<timestamp> expiry_in(const wire::rows& rows, int row, int column);

/// What the types of writing operations have in common: a name for each statement, and the answer's horizon.
class writing_type : public batch::operation_type {
public:
    /// What the rows of a shared statement are paired by.
    enum class pairing {
        position, ///< it gives them in the order of its operations
        ordinal,  ///< its last column counts the operations from 1
    };
    writing_type(sql::target_table& table, bool may_share, pairing by = pairing::position) noexcept
        : operation_type({.writes = true, .keyed = true, .shares = may_share}), table_(table), by_(by) {}

    batch::command build(const batch::operation_list& operations) const final;
    std::vector<int> pair(const batch::operation_list& operations, const wire::rows& rows) const final;
    std::optional<std::uint64_t> horizon(const wire::rows& rows) const final;

protected:
    sql::target_table& table() const noexcept { return table_; }

private:
    /// All but the name, which is the last parameter of the statements that leave it in their rows.
    virtual batch::command build_without_name(const batch::operation_list& operations) const = 0;
    virtual bool leaves_name() const noexcept { return true; }

    sql::target_table& table_;
    const pairing by_;
};

} // namespace pgstate::postgres

#endif
