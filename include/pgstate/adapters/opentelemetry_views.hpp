#pragma once

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
#include <type_traits>

namespace pgstate {

namespace detail {

/// A view that changes nothing but the aggregation. Up to release 1.22, views have a unit as their third argument.
template <class View, class Type, class Aggregation>
std::unique_ptr<View> view_of(Type type, const Aggregation& aggregation) {
    const std::string as_it_is;
    if constexpr (std::is_constructible_v<View, std::string, std::string, std::string, Type, Aggregation>)
        return std::make_unique<View>(as_it_is, as_it_is, as_it_is, type, aggregation);
    else
        return std::make_unique<View>(as_it_is, as_it_is, type, aggregation);
}

} // namespace detail

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
                         detail::view_of<sdk::View>(sdk::AggregationType::kHistogram, buckets));
    }
}

} // namespace pgstate
