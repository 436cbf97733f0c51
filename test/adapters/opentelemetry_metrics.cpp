#include "adapters/observations.hpp"
#include "pgstate/adapters/opentelemetry.hpp"
#include "pgstate/adapters/opentelemetry_views.hpp"
#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>
#include <opentelemetry/metrics/provider.h>
#include <opentelemetry/nostd/shared_ptr.h>
#include <opentelemetry/nostd/variant.h>
#include <opentelemetry/sdk/metrics/data/metric_data.h>
#include <opentelemetry/sdk/metrics/data/point_data.h>
#include <opentelemetry/sdk/metrics/export/metric_producer.h>
#include <opentelemetry/sdk/metrics/meter_provider.h>
#include <opentelemetry/sdk/metrics/metric_reader.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace metrics_api = ::opentelemetry::metrics;
namespace nostd = ::opentelemetry::nostd;
namespace metrics_sdk = ::opentelemetry::sdk::metrics;
using pgstate::opentelemetry_metrics;

constexpr pgstate::instrument elapsed{
    "test.duration", "s", "How long.", pgstate::instrument_kind::histogram, {}};
constexpr pgstate::instrument batch{
    "test.batch", "{operation}", "How many.", pgstate::instrument_kind::histogram, {}};
constexpr pgstate::instrument lost{
    "test.lost", "{operation}", "Lost.", pgstate::instrument_kind::counter, {}};
constexpr pgstate::instrument depth{
    "test.depth", "{operation}", "Depth.", pgstate::instrument_kind::gauge, {}};

/// Collects when it is asked to.
class pulling_reader final : public metrics_sdk::MetricReader {
public:
    metrics_sdk::AggregationTemporality GetAggregationTemporality(
        metrics_sdk::InstrumentType) const noexcept override {
        return metrics_sdk::AggregationTemporality::kCumulative;
    }

private:
    bool OnForceFlush(std::chrono::microseconds) noexcept override { return true; }
    bool OnShutDown(std::chrono::microseconds) noexcept override { return true; }
};

/// What was collected, by "name{key=value,...}".
struct point {
    double sum = 0;
    std::uint64_t count = 0;
    std::vector<double> bounds;
    std::string unit;
    bool monotonic = false;
};

class metered {
public:
    metered() { provider->AddMetricReader(reader_); }

    std::map<std::string, point> collect() {
        std::map<std::string, point> points;
        reader_->Collect([&](metrics_sdk::ResourceMetrics& all) {
            for (const auto& scope : all.scope_metric_data_)
                for (const auto& metric : scope.metric_data_)
                    for (const auto& each : metric.point_data_attr_)
                        points[key(metric, each)] = value(metric, each.point_data);
            return true;
        });
        return points;
    }

    std::shared_ptr<metrics_sdk::MeterProvider> provider = std::make_shared<metrics_sdk::MeterProvider>();

private:
    static std::string key(const metrics_sdk::MetricData& metric,
                           const metrics_sdk::PointDataAttributes& point) {
        std::map<std::string, std::string> sorted;
        for (const auto& [name, held] : point.attributes) {
            if (const auto* text = nostd::get_if<std::string>(&held))
                sorted[name] = *text;
            else if (const auto* number = nostd::get_if<std::int64_t>(&held))
                sorted[name] = std::to_string(*number);
            else
                sorted[name] = "?";
        }
        std::string labels;
        for (const auto& [name, text] : sorted)
            labels.append(labels.empty() ? "" : ",").append(name).append("=").append(text);
        return metric.instrument_descriptor.name_ + "{" + labels + "}";
    }

    static point value(const metrics_sdk::MetricData& metric, const metrics_sdk::PointType& data) {
        point result;
        result.unit = metric.instrument_descriptor.unit_;
        if (const auto* sum = nostd::get_if<metrics_sdk::SumPointData>(&data)) {
            result.sum = nostd::get<double>(sum->value_);
            result.monotonic = sum->is_monotonic_;
        } else if (const auto* histogram = nostd::get_if<metrics_sdk::HistogramPointData>(&data)) {
            result.sum = nostd::get<double>(histogram->sum_);
            result.count = histogram->count_;
            result.bounds.assign(histogram->boundaries_.begin(), histogram->boundaries_.end());
        }
        return result;
    }

    std::shared_ptr<pulling_reader> reader_ = std::make_shared<pulling_reader>();
};

struct metering {
    metered sdk;
    opentelemetry_metrics metrics{sdk.provider->GetMeter("test")};
};

TEST_CASE_METHOD(metering, "opentelemetry: counters and histograms by label") {
    const pgstate::attribute save[] = {{"op", "save"}, {"shard", std::int64_t{1}}};
    const pgstate::attribute load[] = {{"op", "load"}};
    metrics.open(lost, save)->record(1);
    metrics.open(lost, save)->record(2.5); // another store
    metrics.open(lost, load)->record(10);
    const auto histogram = metrics.open(elapsed, load);
    histogram->record(0.25);
    histogram->record(0.5);

    auto found = sdk.collect();
    CHECK(found.size() == 3);
    CHECK(found["test.lost{op=save,shard=1}"].sum == 3.5);
    CHECK(found["test.lost{op=save,shard=1}"].monotonic);
    CHECK(found["test.lost{op=save,shard=1}"].unit == "{operation}");
    CHECK(found["test.lost{op=load}"].sum == 10);
    CHECK(found["test.duration{op=load}"].sum == 0.75);
    CHECK(found["test.duration{op=load}"].count == 2);
    CHECK(found["test.duration{op=load}"].unit == "s");
}

TEST_CASE("opentelemetry: with the views, histograms have bounds that fit them") {
    metered sdk;
    pgstate::add_histogram_views(*sdk.provider, "test");
    opentelemetry_metrics metrics(sdk.provider->GetMeter("test"));
    metrics.open(elapsed, {})->record(0.25);
    metrics.open(batch, {})->record(3);
    auto found = sdk.collect();
    REQUIRE(opentelemetry_metrics::bounds().size() == 2);
    const auto expected = [](std::string_view unit) {
        for (const auto& each : opentelemetry_metrics::bounds())
            if (each.unit == unit) return std::vector<double>(each.bounds.begin(), each.bounds.end());
        return std::vector<double>{};
    };
    CHECK(found["test.duration{}"].bounds == expected("s"));
    CHECK(found["test.batch{}"].bounds == expected("{operation}"));
    CHECK(found["test.duration{}"].bounds.front() < 0.001);
}

TEST_CASE_METHOD(metering, "opentelemetry: observed values are added up by label, and end") {
    const pgstate::attribute a[] = {{"store", "a"}};
    const pgstate::attribute b[] = {{"store", "b"}};
    double of_first = 2;
    auto first = metrics.observe(depth, a, [&] { return of_first; });
    const auto second = metrics.observe(depth, a, [] { return 3.0; });
    auto third = metrics.observe(depth, b, [] { return 7.0; });
    REQUIRE(first);
    auto found = sdk.collect();
    CHECK(found["test.depth{store=a}"].sum == 5);
    CHECK_FALSE(found["test.depth{store=a}"].monotonic);
    CHECK(found["test.depth{store=b}"].sum == 7);

    of_first = 0;
    CHECK(sdk.collect()["test.depth{store=a}"].sum == 3);
    first.reset();
    third.reset();
    of_first = 100; // is not read any more
    CHECK(sdk.collect()["test.depth{store=a}"].sum == 3);
}

TEST_CASE_METHOD(metering, "opentelemetry: an observed counter does not fall when an observation ends") {
    auto first = metrics.observe(lost, {}, [] { return 5.0; });
    const auto second = metrics.observe(lost, {}, [] { return 10.0; });
    auto found = sdk.collect();
    CHECK(found["test.lost{}"].sum == 15);
    CHECK(found["test.lost{}"].monotonic);
    first.reset();
    CHECK(sdk.collect()["test.lost{}"].sum == 15);
}

TEST_CASE_METHOD(metering, "opentelemetry: the end of an observation waits for a reading under way") {
    pgstate_test::check_end_waits_for_reading(
        metrics, depth, [&] { return sdk.collect(); }, [] {});
}

TEST_CASE("opentelemetry: nothing is read once the metrics are gone") {
    metered sdk;
    auto metrics = std::make_unique<opentelemetry_metrics>(sdk.provider->GetMeter("test"));
    int reads = 0;
    const auto observed = metrics->observe(depth, {}, [&] {
        ++reads;
        return 1.0;
    });
    sdk.collect();
    CHECK(reads == 1);
    metrics.reset();
    sdk.collect();
    CHECK(reads == 1);
}

TEST_CASE("opentelemetry: the global meter by default, and what is not wanted") {
    metered sdk;
    const auto before = metrics_api::Provider::GetMeterProvider();
    metrics_api::Provider::SetMeterProvider(nostd::shared_ptr<metrics_api::MeterProvider>(
        std::shared_ptr<metrics_api::MeterProvider>(sdk.provider)));
    opentelemetry_metrics metrics;
    metrics_api::Provider::SetMeterProvider(before);
    metrics.open(lost, {})->record(1);
    CHECK(sdk.collect()["test.lost{}"].sum == 1);

    CHECK(metrics.open(depth, {}) == nullptr);
    CHECK(metrics.observe(elapsed, {}, [] { return 1.0; }) == nullptr);
    CHECK(metrics.observe(depth, {}, {}) == nullptr);
    const auto refused =
        pgstate_test::failure_of([] { opentelemetry_metrics none(nostd::shared_ptr<metrics_api::Meter>{}); });
    CHECK(refused == pgstate::errc::invalid_argument);
}

} // namespace
