#ifndef PGSTATE_STORE_STATEMENTS_HPP
#define PGSTATE_STORE_STATEMENTS_HPP

#include "batch/dialect.hpp"
#include "config/table_identifier.hpp"
#include "store/change.hpp"
#include "store/session_settings.hpp"
#include "store/settlement.hpp"
#include "store/sql_text.hpp"
#include "wire/statement.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

namespace pgstate::store {

/// The columns of each answer, the same for the single-row and the batched form of a statement. A save has no
/// `expires_at` where nobody gave it a ttl.
namespace saved_row {
enum : int { agent_id, session_id, version, created_at, updated_at, expires_at };
}
namespace settled_row { // as saved_row, and
enum : int { agent_id, session_id, version, created_at, updated_at, expires_at, write_name };
}
namespace loaded_row {
enum : int { ordinal, state, version, created_at, updated_at, expires_at };
}
namespace probed_row {
enum : int { ordinal, version };
}
namespace listed_row {
enum : int { session_id, version, created_at, updated_at };
}
namespace listed_agent_row {
enum : int { agent_id, sessions, updated_at };
}
namespace found_row {
enum : int { agent_id, session_id, state, version, created_at, updated_at, expires_at };
}
namespace swept_row {
enum : int { rows, claimed };
}
namespace health_row {
enum : int { server_version, read_only };
}

/// A statement for a table that is small, and for one that is large: see table_statements.
struct by_size {
    wire::statement small;
    wire::statement large;
    const wire::statement& of(bool large_table) const noexcept { return large_table ? large : small; }
};
struct lookup {
    by_size one;
    by_size many;
};
struct insertion {
    wire::statement one;
    wire::statement many;
};
struct with_expiry {
    insertion without;
    insertion with;
};

/// The statements on one table, and which row of an answer is whose.
///
/// PostgreSQL keeps a prepared statement's plan until the table's statistics change, and on a small table a good plan is
/// to read all of it: kept while the table grows, it would be ruinous. So each lookup has two forms. While the table is
/// small, batches are planned each time, and told to use the index; single rows are prepared. When the table has grown to
/// a size where no plan but an index lookup can win, other statements take their place, prepared there for good: a batch
/// that is not planned anew costs the server a third less. How large the table is, its server says along with an
/// operation, once a second. A save needs none of this: ON CONFLICT always goes through the primary key.
///
/// Thread safety: every member, from any thread.
class table_statements final : public batch::dialect {
public:
    /// \param settings  to be set for each transaction
    explicit table_statements(const settings::table_identifier& table, session_settings settings = {});

    /// For what is put together for one query: `find`.
    const sql_text& text() const noexcept { return sql_; }

    batch::command build(const std::vector<batch::operation_ptr>& operations) const override;
    void learn(const wire::rows& before) const noexcept override;
    void censor(wire::server_error& refusal, bool first) const override;
    bool adapt(const std::vector<batch::operation_ptr>& operations,
               const wire::reply& refusal) const override;
    std::vector<int> pair(const std::vector<batch::operation_ptr>& operations,
                          const wire::rows& rows) const override;
    batch::settlement judge(const batch::operation& what, const wire::rows& rows, int row) const override;
    bool fenced(const wire::rows& rows) const override;

    /// The server has Citus, so the table may be distributed.
    void found_citus() const noexcept { citus_.store(true, std::memory_order_relaxed); }
    versioning kept() const noexcept {
        return citus_.load(std::memory_order_relaxed) ? versioning::plain : versioning::timed;
    }

    /// From this size on, in bytes, the table is not small: 128 pages. Reading them costs more than ten lookups, which
    /// is what the planner expects of an array that it does not know.
    static constexpr std::int64_t large_table = 128 * 8192;

private:
    /// The statements that differ with `versioning`; the others are there once, as each text is to be.
    struct versioned {
        explicit versioned(const sql_text& sql);
        with_expiry save;
        with_expiry create;
        std::array<by_size, change_forms> changes; ///< those that may make a row
        lookup erase;
        by_size erase_version;
    };
    const versioned& writes(bool claimed) const noexcept;
    /// \param with_ttl  one of the operations has one
    const lookup& lookup_of(batch::kind what, bool with_ttl) const noexcept;
    void add_claim(batch::command& to, const std::vector<batch::operation_ptr>& operations) const;
    bool time_to_look() const noexcept;
    /// \param claims  to_be_claimed(operations)
    batch::command build_but_name(const std::vector<batch::operation_ptr>& operations, bool claims) const;

    const sql_text sql_;
    const session_settings settings_;
    const versioned timed_;
    const versioned plain_;
    wire::statement claim_;
    wire::statement claims_;
    lookup replace_;
    lookup replace_with_ttl_;
    std::array<by_size, change_forms> changes_; ///< those that make no row
    lookup probe_;
    lookup load_;
    by_size settle_;
    wire::statement fence_;
    by_size list_first_;
    by_size list_next_;
    wire::statement list_agents_first_;
    wire::statement list_agents_next_;
    wire::statement estimate_agent_;
    wire::statement estimate_all_;
    by_size count_agent_;
    wire::statement count_all_;
    wire::statement health_;
    wire::statement sweep_;
    // To run first: the session's settings, and
    wire::preamble size_;         ///< the table's size
    wire::preamble lookups_only_; ///< the same, and no plan but index lookups for what follows
    std::optional<wire::preamble> settings_only_; ///< nothing else; absent where there are none

    mutable write_names names_;
    mutable std::atomic<bool> large_{false};
    mutable std::atomic<bool> citus_{false};
    mutable std::atomic<bool> claims_disliked_{
        false};                                      ///< a constraint, a policy or a trigger is against them
    mutable std::atomic<std::int64_t> next_look_{0}; ///< on batch::clock
};

} // namespace pgstate::store

#endif
