#include "batch/time_limits.hpp"

#include <algorithm>

namespace pgstate::batch {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

// A wait for a lock is cut short after the time that such a statement usually takes, within these bounds: another writer
// of the same kind is through by then. Whoever is refused looks which rows are locked, and goes on alone.
constexpr milliseconds shortest_lock = 5ms;
constexpr milliseconds unknown_lock = 50ms;
constexpr milliseconds longest_lock = 100ms;

/// After the last caller has left, how long the server has to answer.
constexpr milliseconds grace = 1s;

/// Powers of two: connections prepare no new values for each statement.
milliseconds rounded_up(milliseconds what) noexcept {
    milliseconds result = shortest_lock;
    while (result < what)
        result *= 2;
    return result;
}

} // namespace

time_limits limits_in(const time_frame& given) noexcept {
    time_limits limits;
    if (given.longest) {
        const auto left = std::max(std::chrono::ceil<milliseconds>(*given.longest), milliseconds(1));
        if (given.of_session.count() == 0 || left < given.of_session - grace / 2) limits.statement = left;
        // The refusal comes before the deadline, and says that it was a lock.
        if (given.locks_rows) limits.lock = std::max(left * 9 / 10, milliseconds(1));
    }
    if (given.locks_rows && given.how != manner::waiting) {
        const auto short_wait =
            given.lock_wait.count() > 0 ? given.lock_wait
            : given.usual.count() == 0
                ? unknown_lock
                : std::min(rounded_up(std::chrono::ceil<milliseconds>(given.usual)), longest_lock);
        limits.lock = std::min(limits.lock.value_or(short_wait), short_wait);
    }
    return limits;
}

std::optional<std::chrono::steady_clock::duration> longest_silence(const time_frame& given) noexcept {
    if (!given.longest) return std::nullopt;
    return std::max<std::chrono::steady_clock::duration>(*given.longest, 0ms) + grace;
}

} // namespace pgstate::batch
