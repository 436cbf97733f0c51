#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/detail/export.hpp"
#include "pgstate/error.hpp"

#include <boost/container/small_vector.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace pgstate::detail {

/// Where the messages of a history are in a document's text.
struct history_place {
    std::size_t begin = 0;                                   ///< of the array
    std::size_t end = 0;                                     ///< behind it
    boost::container::small_vector<std::size_t, 4> messages; ///< where each begins
};

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
    /// The state's when it is saved. Its epoch is that of the history it was loaded with, or none.
    history_mark mark;
    /// Not zeros: the first `known_messages` of the history, whole or in part, are what is stored in rows under this epoch.
    std::array<unsigned char, 16> epoch{};
    std::uint64_t known_messages = 0; ///< of the stored history
    history_place history;            ///< in `document`
    std::optional<error> failure;
};

} // namespace pgstate::detail
