#ifndef AGENT_RUNTIME_METER_HPP
#define AGENT_RUNTIME_METER_HPP

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <vector>

namespace demo {

/// How long the operations of one kind took.
class latencies {
public:
    using clock = std::chrono::steady_clock;

    void add(clock::time_point begin) {
        const auto took = std::chrono::duration<double, std::milli>(clock::now() - begin).count();
        const std::lock_guard lock(mutex_);
        milliseconds_.push_back(took);
    }

    /// In ascending order.
    std::vector<double> sorted() const;

private:
    mutable std::mutex mutex_;
    std::vector<double> milliseconds_;
};

/// What a run counts while it goes on; from any thread.
struct meter {
    latencies loads;
    latencies saves;
    std::atomic<std::size_t> acknowledged{0}; ///< turns saved and acknowledged by this process
    std::atomic<std::size_t> in_flight{0};    ///< saves under way
    std::atomic<std::size_t> reloads{
        0}; ///< states loaded again because a save's outcome was not the expected one
};

} // namespace demo

#endif
