#pragma once

#include <chrono>

namespace pgstate::detail {

/// When `timeout` has passed; time_point::max() where the clock cannot count so far.
inline std::chrono::steady_clock::time_point deadline_after(std::chrono::steady_clock::time_point now,
                                                            std::chrono::milliseconds timeout) noexcept {
    using clock = std::chrono::steady_clock;
    const auto longest = std::chrono::floor<std::chrono::milliseconds>(clock::time_point::max() - now);
    return timeout < longest ? now + timeout : clock::time_point::max();
}

} // namespace pgstate::detail
