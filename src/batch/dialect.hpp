#ifndef PGSTATE_BATCH_DIALECT_HPP
#define PGSTATE_BATCH_DIALECT_HPP

#include "batch/operation.hpp"
#include "wire/rows.hpp"
#include "wire/statement.hpp"

#include <vector>

namespace pgstate::batch {

/// A statement ready to be sent.
struct command {
    const wire::statement* what = nullptr;
    wire::parameters values;
    const wire::preamble* before = nullptr; ///< to run first in the same transaction; null for none
    const wire::statement* claim = nullptr; ///< to run after that, and before `what`; null for none
    wire::parameters claim_values{};
};

/// What has become of a write whose connection broke after it was sent.
enum class settlement {
    applied,
    not_applied, ///< and never will be
    open,        ///< the server may still be at work on it
    unknown,     ///< nobody can tell
};

/// The engine's view of the SQL, which belongs to the layer above. Thread safety: const, from any thread.
class dialect {
public:
    virtual ~dialect() = default;

    /// The statement for operations of one kind, in the order given; one operation gets its single-row form.
    virtual command build(const std::vector<operation_ptr>& operations) const = 0;

    /// What the statement that ran before gave, each time there was one.
    virtual void learn(const wire::rows& before) const noexcept = 0;

    /// Takes out of a refusal what must not be told.
    /// \param first  it is the refusal of the statement that ran before
    virtual void censor(wire::server_error& refusal, bool first) const = 0;

    /// Told of a refusal before anything else is made of it. True: built anew, the operations give another statement, which
    /// may be taken.
    virtual bool adapt(const std::vector<operation_ptr>& operations, const wire::reply& refusal) const = 0;

    /// Which row of the answer is each operation's, -1 for none.
    /// \throws error corrupt_state - the answer makes no sense
    virtual std::vector<int> pair(const std::vector<operation_ptr>& operations,
                                  const wire::rows& rows) const = 0;

    /// What the answer to a statement of kind::settle says of `what`, whose row it is, -1 for none.
    /// \throws error corrupt_state - the answer makes no sense
    virtual settlement judge(const operation& what, const wire::rows& rows, int row) const = 0;
    /// What that of kind::fence says: the process that the server had for the lost connection has ended.
    virtual bool fenced(const wire::rows& rows) const = 0;
};

} // namespace pgstate::batch

#endif
