#ifndef PGSTATE_BENCH_PHASE_HPP
#define PGSTATE_BENCH_PHASE_HPP

#include "arguments.hpp"
#include "engine.hpp"
#include "histogram.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <vector>

namespace bench {

/// From now on Ctrl-C ends phases instead of the process; a second one ends the process.
void end_phases_on_interrupt();
bool interrupted() noexcept;

/// What was counted in a phase.
struct outcome {
    histogram latency;
    std::uint64_t errors = 0;
    std::uint64_t checksum = 0; ///< of what operations returned, so that nothing is left out as unused
    seconds elapsed{};
    std::string first_error;
};

/// The time in which a number of callers work, and what they note about it.
class phase {
public:
    using clock = std::chrono::steady_clock;

    phase(engine& runs_on, unsigned number, unsigned callers, seconds duration);

    unsigned number() const noexcept { return number_; }
    bool over() const noexcept { return clock::now() >= deadline_ || interrupted(); }

    /// An operation has ended well. On a thread of the engine.
    void done(clock::time_point began, std::uint64_t value) {
        auto& mine = notes_[engine::this_thread()];
        mine.latency.add(clock::now() - began);
        mine.checksum += value;
    }
    /// An operation has failed. On a thread of the engine.
    void failed(const std::exception_ptr& failure);
    /// A caller has ended.
    void leave();

    /// Waits for the last caller.
    outcome wait();

private:
    // On lines of their own in the cache: threads write them all the time.
    struct alignas(64) notes {
        histogram latency;
        std::uint64_t errors = 0;
        std::uint64_t checksum = 0;
    };

    unsigned number_;
    clock::time_point began_;
    clock::time_point deadline_;
    std::vector<notes> notes_;

    std::mutex mutex_; // guards what follows
    std::condition_variable ended_;
    unsigned working_;
    clock::time_point end_;
    std::string first_error_;
};

} // namespace bench

#endif
