#ifndef PGSTATE_POSTGRES_SWEEPER_HPP
#define PGSTATE_POSTGRES_SWEEPER_HPP

#include "pgstate/config.hpp"
#include "postgres/operations/sweep.hpp"
#include "postgres/sweep_course.hpp"
#include "postgres/sweep_policy.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string_view>

namespace pgstate::postgres {

/// Deletes the rows of states that have expired, a batch at a time, as `sweep_policy` says.
///
/// Between two batches it has nothing but a timed job of the pool's, which holds it weakly: it keeps neither its store
/// nor an event loop alive. Its steps follow one another, each on the store's executor; the members below may be called
/// from any thread.
class sweeper : public std::enable_shared_from_this<sweeper> {
public:
    /// The store that it sweeps.
    class host {
    public:
        virtual ~host() = default;
        /// Operations wait for a connection.
        virtual bool busy() const = 0;
        /// `over` is called on the executor.
        /// \param failing  that it fails is no news
        virtual void sweep(sweep_request what, bool failing, sweep_operation::handler_type over) = 0;
        /// A look is over that left other rows than the one before.
        /// \param sqlstate  how the server refused the last of them; empty: it did not
        virtual void left_protected(std::uint64_t rows, std::string_view sqlstate) = 0;
        /// Calls `then` on the executor when `delay` has passed, if the store is still there.
        virtual void after(std::chrono::steady_clock::duration delay, std::function<void()> then) = 0;
    };

    explicit sweeper(const sweep_config& settings) noexcept
        : enabled_(settings.period.count() != 0), policy_(settings.period), course_(settings.batch) {}

    /// Once. Does nothing where the settings say so.
    void start(const std::shared_ptr<host>& store);
    /// Begins no further batch.
    void stop() noexcept { stopped_.store(true, std::memory_order_relaxed); }
    /// Rows deleted so far.
    std::uint64_t swept_rows() const noexcept { return swept_.load(std::memory_order_relaxed); }
    /// Rows that could not be deleted when that was last tried.
    std::uint64_t protected_rows() const noexcept { return protected_.load(std::memory_order_relaxed); }

private:
    using clock = sweep_policy::clock;

    void ask_at(host& store, clock::time_point when);
    void ask();
    void over(clock::time_point began, const result<swept>& outcome);
    double random() { return std::uniform_real_distribution<>(0, 1)(random_); }

    const bool enabled_;
    std::weak_ptr<host> store_;
    sweep_policy policy_;
    sweep_course course_;
    std::minstd_rand random_{std::random_device{}()};
    std::atomic<bool> stopped_{false};
    std::atomic<std::uint64_t> swept_{0};
    std::atomic<std::uint64_t> protected_{0};
};

} // namespace pgstate::postgres

#endif
