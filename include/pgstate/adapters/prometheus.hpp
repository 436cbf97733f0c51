#pragma once

#include "pgstate/metrics.hpp"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace prometheus {
class Registry;
}

namespace pgstate {

/// Counts and times with prometheus-cpp. It is a Collectable itself, and the one to register where the metrics are
/// exposed:
///
///     auto metrics = std::make_shared<pgstate::prometheus_metrics>();
///     prometheus::Exposer exposer("127.0.0.1:9464");
///     exposer.RegisterCollectable(metrics); // keeps a weak pointer
///     config.metrics = metrics;
///
/// Names follow OpenTelemetry's rules for Prometheus: dots become underscores, the unit is spelled out at the end, and
/// counters end in "_total": db.client.operation.duration in s is db_client_operation_duration_seconds. The labels' dots
/// become underscores too.
///
/// Stores that share it share the series that have the same labels: what they record is counted together, and what is
/// observed is added up. Series stay when a store is closed, as Prometheus wants it of counters and histograms; gauges
/// are gone with the observation.
///
/// Thread safety: all members.
/// Cost:          about 35 ns for a value in a histogram, under a lock of that series; a counter has no lock.
/// Lifetime:      what `open` and `observe` return keeps what it needs.
class PGSTATE_API prometheus_metrics final : public metrics, public ::prometheus::Collectable {
public:
    /// With a registry of its own, which leaves the program's alone.
    prometheus_metrics();
    /// What is recorded goes into `registry`, which this object collects along with the observed values: so register
    /// this object with the exposer in place of the registry. Both would give the recorded series twice.
    /// \throws error invalid_argument - `registry` is null
    explicit prometheus_metrics(std::shared_ptr<::prometheus::Registry> registry);
    ~prometheus_metrics() override;
    prometheus_metrics(const prometheus_metrics&) = delete;
    prometheus_metrics& operator=(const prometheus_metrics&) = delete;

    /// Null for a gauge, which is observed.
    /// \throws std::invalid_argument  the registry has a family of that name and of another type
    std::unique_ptr<series> open(const instrument& what, std::span<const attribute> labels) override;
    /// Null for a histogram, which is recorded. `read` is called by each scrape, on the exposer's thread.
    std::unique_ptr<observation> observe(const instrument& what, std::span<const attribute> labels,
                                         std::function<double()> read) override;

    /// Everything in the registry, and the observed values of this moment.
    std::vector<::prometheus::MetricFamily> Collect() const override;

private:
    class families;
    const std::unique_ptr<families> families_;
};

} // namespace pgstate
