#ifndef PGSTATE_POSTGRES_SWEEP_POLICY_HPP
#define PGSTATE_POSTGRES_SWEEP_POLICY_HPP

#include <algorithm>
#include <chrono>
#include <optional>

namespace pgstate::postgres {

/// How a batch of the sweeper ended.
enum class sweep_outcome {
    full, ///< it found as many rows as it may delete: there are more, perhaps
    rest, ///< it found fewer
    lost, ///< another store's sweeper was at it
    failed,
};

/// When the sweeper's batches go. Pure: it is told what happened and when.
class sweep_policy {
public:
    using clock = std::chrono::steady_clock;

    explicit sweep_policy(std::chrono::milliseconds period) noexcept : period_(period) {}

    /// When to ask for the first time: anywhere in a period, as processes are often started together.
    /// \param random  0 to 1; the same below
    clock::time_point begin(clock::time_point now, double random) noexcept {
        latest_ = now + period_;
        return now + part(random);
    }

    /// The time to ask has come. Nothing: the batch goes now; otherwise when to ask again.
    /// \param busy  operations wait for a connection, and go first; but not for longer than a period
    std::optional<clock::time_point> ask(clock::time_point now, bool busy) const noexcept {
        if (!busy || now >= latest_) return std::nullopt;
        using namespace std::chrono_literals;
        return std::min(latest_, now + std::clamp<clock::duration>(period_ / 20, 5ms, 1s));
    }

    /// A batch is over. When to ask for the next: while there is more to do, after a pause as long as this one took, so
    /// that sweeping has half of one connection's time at most.
    clock::time_point over(sweep_outcome how, clock::time_point began, clock::time_point ended,
                           double random) noexcept {
        failing_ = how == sweep_outcome::failed;
        latest_ = ended + period_;
        if (how == sweep_outcome::full) return ended + (ended - began);
        return ended + part(0.75 + random / 4);
    }

    /// The last batch failed: if the next does, that is no news.
    bool failing() const noexcept { return failing_; }

private:
    clock::duration part(double of) const noexcept {
        return std::chrono::duration_cast<clock::duration>(period_ * of);
    }

    std::chrono::milliseconds period_;
    clock::time_point latest_{}; ///< no batch waits for longer
    bool failing_ = false;
};

} // namespace pgstate::postgres

#endif
