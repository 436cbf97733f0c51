#pragma once

#include "pgstate/metrics.hpp"

#include <atomic>
#include <memory>

namespace pgstate::telemetry {

/// A series that is opened when it is first recorded into: what never happens is never exposed. Any thread.
class series_slot {
public:
    series_slot() = default;
    series_slot(const series_slot&) = delete;
    series_slot& operator=(const series_slot&) = delete;
    ~series_slot() {
        if (auto* held = opened_.load(); held != &unwanted()) delete held;
    }

    /// \param open  gives the series, or null; may be called by several threads at once, of which one has its way
    template <class Open>
    void record(double value, Open open) {
        auto* to = opened_.load(std::memory_order_acquire);
        if (!to) {
            std::unique_ptr<metrics::series> made = open();
            auto* const mine = made ? made.get() : &unwanted();
            if (opened_.compare_exchange_strong(to, mine, std::memory_order_acq_rel)) {
                made.release();
                to = mine;
            }
        }
        to->record(value);
    }

private:
    class ignoring final : public metrics::series {
    public:
        void record(double) override {}
    };
    static metrics::series& unwanted() noexcept {
        static ignoring instance;
        return instance;
    }

    std::atomic<metrics::series*> opened_{nullptr};
};

} // namespace pgstate::telemetry
