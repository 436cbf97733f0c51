#pragma once

#include <array>
#include <cstdint>
#include <limits>

namespace pgstate {

namespace detail {
class history_access;
}

/// Which messages of a stored history a load gives. The messages of a history are numbered from 0, the oldest one. A window
/// that reaches beyond the history gives what is there; one of 0 messages is refused with invalid_argument.
class history_window {
public:
    /// All messages; a default-constructed window is the same.
    static const history_window all;
    /// No message: only the rest of the state.
    static const history_window none;
    /// The last `n` messages.
    static constexpr history_window last(std::uint64_t n) noexcept { return {0, no_end, n}; }
    /// The messages with a higher number than `seq`. `after(-1)`, the number before the first message, gives all messages.
    static constexpr history_window after(std::uint64_t seq) noexcept { return {seq + 1, no_end, no_end}; }
    /// Of the messages with a lower number than `seq` the last `n`.
    static constexpr history_window before(std::uint64_t seq, std::uint64_t n) noexcept {
        return {0, seq, n};
    }

    constexpr history_window() = default;

    friend constexpr bool operator==(const history_window&, const history_window&) = default;

private:
    friend class detail::history_access;
    static constexpr std::uint64_t no_end = std::numeric_limits<std::uint64_t>::max();

    constexpr history_window(std::uint64_t from, std::uint64_t until, std::uint64_t most) noexcept
        : from_(from), until_(until), most_(most) {}

    // The last `most_` of the messages from `from_` on and below `until_`.
    std::uint64_t from_ = 0;
    std::uint64_t until_ = no_end;
    std::uint64_t most_ = no_end;
};

inline constexpr history_window history_window::all{};
inline constexpr history_window history_window::none{no_end, no_end, no_end};

/// What a state remembers of the stored history, for the next save: which part of it was loaded, and with histories in rows
/// (schema_config::history) also which messages are stored already. Opaque: a load sets it, and `saved::apply_to` brings it up to
/// date. It is copied with the state. Two marks are always equal, so that states compare by their contents.
class history_mark {
public:
    /// Always: see above.
    friend constexpr bool operator==(const history_mark&, const history_mark&) noexcept { return true; }

private:
    friend class detail::history_access;

    std::uint64_t stored_ = 0; ///< messages of the stored history
    std::uint64_t offset_ = 0; ///< of the window
    std::uint64_t window_ = 0; ///< messages of it that are stored; stored_: the state is whole
    std::uint64_t digest_ = 0; ///< of these
    std::uint64_t key_ = 0;    ///< hash of the state's key
    std::int64_t dated_ = 0;   ///< of a save: the time of messages without one, in microseconds since 1970
    std::array<unsigned char, 16> epoch_{}; ///< of a history in rows; zeros: it is in the document
};

} // namespace pgstate
