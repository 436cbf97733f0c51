#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/detail/export.hpp"
#include "pgstate/error.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace pgstate::detail {

/// A state as a store takes it: validated, and its document as JSON text. A state that is refused becomes `failure`,
/// so that the operation can complete with it like with any other error.
class PGSTATE_API encoded_state {
public:
    explicit encoded_state(const agent_state& state);

    std::string agent_id;
    std::string session_id;
    std::int64_t version = 0; ///< agent_state::version: what `if_unchanged` compares with
    std::string document;     ///< what the column `state` gets
    /// Of a state that was loaded in part: how many messages were stored then; 0 of a whole state. The stored history keeps
    /// them, and `document` has only the messages to add.
    std::uint64_t stored_messages = 0;
    history_mark mark; ///< of such a state, when it is saved
    std::optional<error> failure;
};

} // namespace pgstate::detail
