#ifndef PGSTATE_BATCH_OPERATION_TYPE_HPP
#define PGSTATE_BATCH_OPERATION_TYPE_HPP

#include "batch/operation.hpp"
#include "wire/rows.hpp"
#include "wire/statement.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace pgstate::batch {

/// A statement ready to be sent.
struct command {
    const wire::statement* what = nullptr;
    wire::parameters values;
    const wire::preamble* before = nullptr; ///< runs first in the same transaction; null for none
    /// Runs between the two and locks rows. `what` sees everything that was committed before the locks were granted. Null for
    /// none.
    const wire::statement* lock = nullptr;
    wire::parameters lock_values{};
};

/// In place of a row: the answer does not tell which it is, and the operation is sent again by itself.
inline constexpr int send_alone = -2;

/// Builds the statement for operations of one type, and reads its answer. One object for each type and store; adding an
/// operation to the store means adding such a type.
///
/// Thread safety: every member, from any thread.
class operation_type : public traits {
public:
    explicit operation_type(const traits& of) noexcept : traits(of) {}
    operation_type(const operation_type&) = delete;
    operation_type& operator=(const operation_type&) = delete;
    virtual ~operation_type() = default;

    /// The statement for `operations`, which are of this type and sorted by key.
    virtual command build(const operation_list& operations) const = 0;

    /// Which row of the answer is each operation's, -1 for none; `send_alone` only for what may be applied twice.
    /// \throws error corrupt_state - the answer makes no sense
    virtual std::vector<int> pair(const operation_list& operations, const wire::rows& rows) const = 0;

    /// The transaction horizon that the answer carries (pg_snapshot_xmin): every transaction with a lower number was over
    /// when the statement ran. Nothing: the answer carries none.
    virtual std::optional<std::uint64_t> horizon(const wire::rows&) const { return std::nullopt; }
};

/// What has become of a write whose connection broke after it was sent.
enum class settlement {
    applied,
    not_applied, ///< and never will be
    open,        ///< the server may still be at work on it
    unknown,     ///< nobody can tell
};

/// The engine's view of the SQL, which belongs to the layer above.
///
/// Thread safety: every member, from any thread.
class dialect {
public:
    virtual ~dialect() = default;

    /// Reads the version that `what` met, which found no matching row, and whatever else it needs to say why.
    virtual const operation_type& probe(const operation& what) const noexcept = 0;
    /// Finds out whether another session holds a lock on the row of a write.
    virtual const operation_type& look() const noexcept = 0;
    /// Reads the row of a write whose connection broke.
    virtual const operation_type& settle() const noexcept = 0;
    /// Ends the server process that had such a write.
    virtual const operation_type& fence() const noexcept = 0;

    /// Sets how long the statements of a transaction may take, and may wait for a lock. $1 and $2 are texts of milliseconds;
    /// null leaves one as it is, and one that is shorter already stays.
    virtual const wire::statement& limits() const noexcept = 0;

    /// What the answer to `look` says: another session holds a lock on the row.
    virtual bool locked(const wire::rows& rows, int row) const = 0;
    /// What the answer to `settle` says of `what`, whose row it is, -1 for none.
    /// \param seen_by  the server that answered
    /// \throws error corrupt_state - the answer makes no sense
    virtual settlement judge(const operation& what, const wire::incarnation& seen_by, const wire::rows& rows,
                             int row) const = 0;
    /// What the answer to `fence` says: the process has ended.
    virtual bool fenced(const wire::rows& rows) const = 0;

    /// Takes what the statement that ran before gave, each time there was one.
    virtual void learn(const wire::rows& before) noexcept = 0;

    /// Removes what must not be told from a refusal.
    /// \param before  it is the refusal of a statement that ran before
    virtual void censor(wire::server_error& refusal, bool before) const = 0;
};

} // namespace pgstate::batch

#endif
