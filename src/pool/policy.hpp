#ifndef PGSTATE_POOL_POLICY_HPP
#define PGSTATE_POOL_POLICY_HPP

#include "pgstate/config.hpp"

#include <chrono>
#include <cstddef>
#include <optional>

namespace pgstate::pool {

using clock = std::chrono::steady_clock;

/// How many connects may be under way at once: enough to fill a pool quickly, few enough for a server that restarts.
inline constexpr std::size_t max_concurrent_connects = 8;

/// What the pool has at a moment.
struct census {
    std::size_t total = 0;      ///< all connections, those being made included
    std::size_t connecting = 0; ///< being made
    std::size_t idle = 0;       ///< ready
    std::size_t checking = 0;   ///< being checked for a caller who takes them
    std::size_t waiters = 0;    ///< callers in the queue
    std::size_t ending = 0;     ///< given up, and not yet closed by the server; not in `total`
};

/// How many new connections to start now. One that is ending keeps its place: its server process may be at work still. Only
/// when no other connection is left, one more than max_conns is made; a process that never ends would block all.
/// \param backing_off  the last attempt failed and its pause is not over
std::size_t connections_to_start(const census& have, const pool_config& limits, bool backing_off) noexcept;

enum class retirement { lifetime, idle_time };

/// Whether an idle connection has to go.
/// \param expires     when its lifetime ends, its share of the jitter included
/// \param idle_since  when it was last used
/// \param spare       idle connections beyond min_conns and min_idle_conns: only these go for their idle time
std::optional<retirement> retire(clock::time_point now, clock::time_point expires,
                                 clock::time_point idle_since, std::size_t spare,
                                 const pool_config& limits) noexcept;

/// The pause after the `failures`-th failed connect in a row (from 1): doubles from 50 ms to 800 ms, half of it random.
/// So a server that is back is noticed within a second.
/// \param random  0 to 1
std::chrono::milliseconds backoff(std::size_t failures, double random) noexcept;

} // namespace pgstate::pool

#endif
