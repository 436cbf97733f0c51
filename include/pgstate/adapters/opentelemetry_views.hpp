#ifndef PGSTATE_ADAPTERS_OPENTELEMETRY_VIEWS_HPP
#define PGSTATE_ADAPTERS_OPENTELEMETRY_VIEWS_HPP

// For programs that set up the SDK of opentelemetry-cpp: link opentelemetry-cpp::metrics to use it.

#include "pgstate/adapters/opentelemetry.hpp"

#include <opentelemetry/sdk/metrics/aggregation/aggregation_config.h>
#include <opentelemetry/sdk/metrics/instruments.h>
#include <opentelemetry/sdk/metrics/meter_provider.h>
#include <opentelemetry/sdk/metrics/view/instrument_selector.h>
#include <opentelemetry/sdk/metrics/view/meter_selector.h>
#include <opentelemetry/sdk/metrics/view/view.h>

#include <memory>
#include <string>

namespace pgstate {

/// Gives the histograms of meter `meter` the bounds that fit them. Before the instruments are made, so before a store is
/// opened.
inline void add_histogram_views(::opentelemetry::sdk::metrics::MeterProvider& provider,
                                const std::string& meter = "pgstate") {
    namespace sdk = ::opentelemetry::sdk::metrics;
    for (const auto& each : opentelemetry_metrics::bounds()) {
        auto buckets = std::make_shared<sdk::HistogramAggregationConfig>();
        buckets->boundaries_.assign(each.bounds.begin(), each.bounds.end());
        provider.AddView(std::make_unique<sdk::InstrumentSelector>(sdk::InstrumentType::kHistogram, "*",
                                                                   std::string(each.unit)),
                         std::make_unique<sdk::MeterSelector>(meter, "", ""),
                         std::make_unique<sdk::View>("", "", "", sdk::AggregationType::kHistogram, buckets));
    }
}

} // namespace pgstate

#endif
