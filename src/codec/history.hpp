#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/detail/encoded_state.hpp"
#include "pgstate/error.hpp"
#include "pgstate/history_window.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pgstate::codec {

/// A window in numbers of messages: the last `most` of those from `from` on and below `until`.
struct window_numbers {
    std::uint64_t from, until, most;
};
window_numbers numbers_of(const history_window& window) noexcept;

/// The messages from `from` on and below `until`, where there are so many.
history_window between(std::uint64_t from, std::uint64_t until) noexcept;

/// Notes in a state that was decoded from a part of its document: the first message in it, and how many are stored. Where that
/// is all of them, the state is whole.
/// \param epoch  of a history in rows; zeros: it is in the document
void note_window(agent_state& state, std::uint64_t first, std::uint64_t stored,
                 const std::array<unsigned char, 16>& epoch = {});

/// The mark of a state that was saved with its history in rows of `epoch`; zeros: in the document.
history_mark with_epoch(history_mark saved, const std::array<unsigned char, 16>& epoch) noexcept;
/// The same with the time of messages that had none.
history_mark with_time(history_mark saved, timestamp dated) noexcept;

/// Leaves a whole state the part of its history that `window` says, as if that had been loaded.
void cut(agent_state& state, const history_window& window);

/// How many messages the stored history had when `state` was loaded.
std::uint64_t stored_messages(const agent_state& state) noexcept;

/// What a save can take from the mark of a state.
struct partial_save {
    /// Of a state that was loaded in part: messages in `history` that need not be sent.
    std::size_t known = 0;
    std::uint64_t stored = 0; ///< of such a state: messages of the stored history
    history_mark after;       ///< the state's when it is saved
    /// As of encoded_state: how many messages in rows the state begins with, whole or in part, and their epoch.
    std::uint64_t stored_known = 0;
    std::array<unsigned char, 16> epoch{};
};
/// \throws error invalid_argument - of `operation`: what must not change of a state loaded in part was changed
partial_save check_partial(const agent_state& state, std::string_view operation);

/// The history of which a part was loaded is another one now.
error replaced_history(std::int64_t version);

/// Why a state that was loaded in part cannot be saved over the row that there is; nothing: it can be.
/// \param version   the row's, 0 where there is none
/// \param messages  of its history
std::optional<error> conflict_with(const detail::encoded_state& state, bool if_unchanged,
                                   std::int64_t version, std::uint64_t messages);

} // namespace pgstate::codec
