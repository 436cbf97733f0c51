#pragma once

#include "pgstate/metrics.hpp"
#include "pgstate/tracer.hpp"

#include <opentelemetry/metrics/meter.h>
#include <opentelemetry/nostd/shared_ptr.h>
#include <opentelemetry/trace/tracer.h>

#include <functional>
#include <memory>
#include <span>
#include <string_view>

namespace pgstate {

/// Traces through the API of opentelemetry-cpp; which spans are recorded and where they go is up to the program's SDK.
///
/// Parents:       `start` takes its parent from `span_start` alone, never from the thread; an invalid one makes a root.
///                `current` is the thread's active span, and `activate` makes a span that.
/// Time stamps:   the beginning and the events on the system's clock, from one comparison of the two clocks when the
///                span starts; the duration on the steady clock.
/// Not recorded:  `start` gives null for a span that the SDK does not record, and without an SDK.
/// Given up:      a span destroyed without `end` ends there, with its status not set: the API cannot drop it.
/// Thread safety: all members.
/// Lifetime:      shares the tracer. A provider that is shut down first drops what is still traced.
class PGSTATE_API opentelemetry_tracer final : public tracer {
public:
    /// The tracer "pgstate", in the library's version, of the provider that is the global one now.
    opentelemetry_tracer();
    /// \throws error invalid_argument - `to` is null
    explicit opentelemetry_tracer(::opentelemetry::nostd::shared_ptr<::opentelemetry::trace::Tracer> to);

    std::unique_ptr<span> start(const span_start& what) override;
    span_context current() override;
    /// Null for a span that is not of such a tracer.
    std::unique_ptr<scope> activate(span& what) override;

    /// The context of a span of the program's, to name it as a parent. All zeros if it is not valid.
    static span_context context_of(const ::opentelemetry::trace::Span& span);

private:
    ::opentelemetry::nostd::shared_ptr<::opentelemetry::trace::Tracer> to_;
};

/// Counts and times through the API of opentelemetry-cpp. Counters are counters of doubles; gauges, whose values add up,
/// are observable up-down counters; what is observed is asked in the SDK's collection.
///
/// The API does not let an instrument name its histogram's bounds. The SDK takes them from views: call
/// `add_histogram_views` (`adapters/opentelemetry_views.hpp`) on the meter provider before a store is opened. Otherwise
/// its default bounds apply, whose first are 0, 5 and 10: every duration in seconds falls into one bucket.
///
/// Several observations with the same labels are added up. A counter's stay in the sum when they end.
///
/// Thread safety: all members. A `read` function must not call `open` or `observe`: the SDK holds a lock while it
///                collects.
/// Cost:          about 250 ns for a value that is recorded: the SDK looks the series up by its labels each time.
/// Lifetime:      shares the meter. Nothing is read once this object is destroyed, which waits for a collection that is
///                under way.
class PGSTATE_API opentelemetry_metrics final : public metrics {
public:
    /// The meter "pgstate", in the library's version, of the provider that is the global one now.
    opentelemetry_metrics();
    /// \throws error invalid_argument - `to` is null
    explicit opentelemetry_metrics(::opentelemetry::nostd::shared_ptr<::opentelemetry::metrics::Meter> to);
    ~opentelemetry_metrics() override;
    opentelemetry_metrics(const opentelemetry_metrics&) = delete;
    opentelemetry_metrics& operator=(const opentelemetry_metrics&) = delete;

    /// Null for a gauge, which is observed.
    std::unique_ptr<series> open(const instrument& what, std::span<const attribute> labels) override;
    /// Null for a histogram, which is recorded.
    std::unique_ptr<observation> observe(const instrument& what, std::span<const attribute> labels,
                                         std::function<double()> read) override;

    /// The bounds that histograms of the library have, by their unit.
    struct histogram_bounds {
        std::string_view unit;          ///< of UCUM
        std::span<const double> bounds; ///< upper bounds, ascending
    };
    /// All of them; constants.
    static std::span<const histogram_bounds> bounds() noexcept;

private:
    class instruments;
    const std::unique_ptr<instruments> instruments_;
};

} // namespace pgstate
