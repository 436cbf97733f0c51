#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/detail/encoded_state.hpp"
#include "pgstate/detail/export.hpp"
#include "pgstate/operations.hpp"

#include <optional>
#include <string_view>

namespace pqxx {
class transaction_base;
}

namespace pgstate {

namespace compose {
class access;
}

/// What a function passed to `state_store::transaction` works with: agent state and the user's own tables, committed
/// together when the function returns and rolled back when it throws. Its members block, which is allowed where the
/// function runs (a worker thread of the store); they throw `error`.
///
/// Thread safety: none; it is valid only until the function returns.
class PGSTATE_API transaction {
public:
    transaction(const transaction&) = delete;
    transaction& operator=(const transaction&) = delete;

    /// As `state_store::save`; the row stays locked until the end of the transaction.
    virtual saved save(const agent_state& state, save_options options = {}) = 0;

    /// As `state_store::load`; sees what this transaction wrote.
    virtual std::optional<agent_state> load(std::string_view agent_id, std::string_view session_id) = 0;

    /// As `state_store::erase`.
    virtual bool erase(std::string_view agent_id, std::string_view session_id) = 0;

    /// libpqxx's transaction around all this, for the user's own SQL. Do not commit or abort it.
    /// \throws error invalid_argument - the store is a memory_store, which has no SQL
    virtual pqxx::transaction_base& sql() = 0;

protected:
    transaction() = default;
    virtual ~transaction();

private:
    friend class compose::access;

    /// `save` of a state that is encoded already. \pre !state.failure
    virtual saved do_save(const detail::encoded_state& state, save_options options) = 0;
};

} // namespace pgstate
