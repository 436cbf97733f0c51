#include "pool/policy.hpp"

#include <algorithm>

namespace pgstate::pool {

std::size_t connections_to_start(const census& have, const pool_config& limits, bool backing_off) noexcept {
    if (backing_off) return 0;
    const auto missing = [](std::size_t wanted, std::size_t there) {
        return wanted > there ? wanted - there : 0;
    };
    const std::size_t for_waiters = missing(have.waiters, have.idle + have.connecting);
    const std::size_t for_total = missing(limits.min_conns, have.total);
    const std::size_t for_idle = missing(limits.min_idle_conns, have.idle + have.connecting);
    const std::size_t wanted = std::max({for_waiters, for_total, for_idle});
    const bool none_left = have.total == 0 && have.ending == limits.max_conns;
    const std::size_t room = none_left ? 1 : missing(limits.max_conns, have.total + have.ending);
    return std::min({wanted, room, missing(max_concurrent_connects, have.connecting)});
}

std::optional<retirement> retire(clock::time_point now, clock::time_point expires,
                                 clock::time_point idle_since, std::size_t spare,
                                 const pool_config& limits) noexcept {
    if (now >= expires) return retirement::lifetime;
    if (spare > 0 && now - idle_since >= limits.max_conn_idle_time) return retirement::idle_time;
    return std::nullopt;
}

std::chrono::milliseconds backoff(std::size_t failures, double random) noexcept {
    using std::chrono::milliseconds;
    const auto doublings = std::min<std::size_t>(failures > 0 ? failures - 1 : 0, 4);
    const auto longest = milliseconds(50) * (1 << doublings);
    return milliseconds(static_cast<long>(static_cast<double>(longest.count()) * (0.5 + 0.5 * random)));
}

} // namespace pgstate::pool
