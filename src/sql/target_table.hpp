#pragma once

#include "config/table_identifier.hpp"
#include "sql/session_settings.hpp"
#include "sql/table_sql.hpp"
#include "sql/write_names.hpp"
#include "wire/rows.hpp"
#include "wire/statement.hpp"

#include <atomic>
#include <cstdint>
#include <optional>

namespace pgstate::sql {

/// What the statements on one table share: its SQL, the statements that run before them, and its size.
///
/// PostgreSQL keeps a prepared statement's plan until the table's statistics change, and on a small table a good plan is
/// to read all of it: kept while the table grows, it would be ruinous. So each lookup has two forms. While the table is
/// small, batches are planned each time, and told to use the index; single rows are prepared. When the table has grown to
/// a size where no plan but an index lookup can win, other statements take their place, prepared there for good: a batch
/// that is not planned anew costs the server a third less. The server tells the table's size along with an operation, once
/// a second. A save needs none of this: ON CONFLICT always goes through the primary key.
///
/// Thread safety: every member, from any thread.
class target_table {
public:
    /// \param settings  set for each transaction
    /// \param where     whose `checkpoints` is set here
    explicit target_table(const settings::table_identifier& table, session_settings settings = {},
                          histories where = {});

    const table_sql& sql() const noexcept { return sql_; }
    const session_settings& settings() const noexcept { return settings_; }
    /// The table of checkpoints, quoted.
    const std::string& checkpoints() const noexcept { return sql_.where().checkpoints; }

    /// No plan but an index lookup can be right.
    bool large() const noexcept { return large_.load(std::memory_order_relaxed); }

    /// What has to run before a statement on the table; null: nothing.
    const wire::preamble* before() noexcept;
    /// The same, where the server must plan no sequential scan, hash join or merge join: for batches while the table is small,
    /// and for what looks at messages in rows, as nobody asks for the size of their table.
    const wire::preamble* before_lookups() const noexcept { return &lookups_only_; }
    /// The same, where the server must write doubles so that they read back, whatever extra_float_digits the role has.
    const wire::preamble* before_doubles() const noexcept { return &exact_doubles_; }
    /// What has to run before a statement on something else.
    const wire::preamble* before_others() const noexcept {
        return settings_only_ ? &*settings_only_ : nullptr;
    }

    /// Takes the answer of what ran before.
    void learn(const wire::rows& before) noexcept;

    wire::uuid next_write_name() noexcept { return names_.next(); }

    /// From this size on, in bytes, the table is not small: 128 pages. Reading them costs more than ten lookups, which
    /// is what the planner expects of an array that it does not know.
    static constexpr std::int64_t large_size = 128 * 8192;

private:
    bool time_to_look() noexcept;

    const table_sql sql_;
    const session_settings settings_;
    write_names names_;
    wire::preamble size_;                         ///< the table's size
    wire::preamble lookups_only_;                 ///< the same, and the settings of before_lookups
    wire::preamble exact_doubles_;                ///< the same, and the setting of before_doubles
    std::optional<wire::preamble> settings_only_; ///< absent where there are none
    std::atomic<bool> large_{false};
    std::atomic<std::int64_t> next_look_{0}; ///< on the steady clock
};

} // namespace pgstate::sql
