#ifndef PGSTATE_BATCH_DIALECT_HPP
#define PGSTATE_BATCH_DIALECT_HPP

#include "batch/operation.hpp"
#include "wire/statement.hpp"

#include <vector>

namespace pgstate::batch {

/// A statement ready to be sent.
struct command {
    const wire::statement* what = nullptr;
    wire::parameters values;
    const wire::statement* before = nullptr; ///< to run first in the same transaction; null for none
};

/// The engine's view of the SQL, which belongs to the layer above. Thread safety: const, from any thread.
class dialect {
public:
    virtual ~dialect() = default;

    /// The statement for operations of one kind, in the order given; one operation gets its single-row form.
    virtual command build(const std::vector<operation_ptr>& operations) const = 0;

    /// What the statement that ran before gave, each time there was one.
    virtual void learn(const wire::rows& before) const noexcept = 0;

    /// Which row of the answer is each operation's, -1 for none.
    /// \throws error corrupt_state - the answer makes no sense
    virtual std::vector<int> pair(const std::vector<operation_ptr>& operations,
                                  const wire::rows& rows) const = 0;
};

} // namespace pgstate::batch

#endif
