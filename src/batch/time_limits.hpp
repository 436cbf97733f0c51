#ifndef PGSTATE_BATCH_TIME_LIMITS_HPP
#define PGSTATE_BATCH_TIME_LIMITS_HPP

#include "batch/item.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace pgstate::batch {

/// How long the server works on a statement before it ends it by itself. So a statement whose callers have left does not
/// hold its connection for ever, and a lock that somebody else holds is in the way of few.
struct time_limits {
    std::optional<std::chrono::milliseconds> statement{}; ///< nothing: the session's own
    std::optional<std::chrono::milliseconds> lock{};      ///< nothing: the session's own
    friend bool operator==(const time_limits&, const time_limits&) = default;
};

/// What the limits follow from.
struct time_frame {
    /// Until the last of its callers has left; nothing: one of them has no deadline.
    std::optional<std::chrono::steady_clock::duration> longest{};
    /// What the session has as its statement_timeout; 0: none.
    std::chrono::milliseconds of_session{0};
    /// What statements of this kind take; 0: not known.
    std::chrono::steady_clock::duration usual{};
    std::chrono::milliseconds lock_wait{0}; ///< tuning_config::lock_wait
    bool locks_rows = false;
    manner how = manner::shared;
};

/// Pure.
time_limits limits_in(const time_frame& given) noexcept;

/// How long a statement for so many callers may stay without an answer; nothing: for ever.
std::optional<std::chrono::steady_clock::duration> longest_silence(const time_frame& given) noexcept;

} // namespace pgstate::batch

#endif
