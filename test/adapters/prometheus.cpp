#include "pgstate/adapters/prometheus.hpp"

#include "adapters/observations.hpp"
#include "adapters/scrape.hpp"
#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace pgstate_test;
using pgstate::attribute;
using pgstate::instrument;
using pgstate::instrument_kind;
using pgstate::prometheus_metrics;

constexpr double seconds_bounds[] = {0.001, 0.01, 0.1};
constexpr instrument duration{"db.client.operation.duration", "s", "How long.", instrument_kind::histogram,
                              seconds_bounds};
constexpr instrument sent_bytes{"pgstate.io", "By", "Bytes.", instrument_kind::counter, {}};
constexpr instrument failures{"pgstate.failures", "{operation}", "Failures.", instrument_kind::counter, {}};
constexpr instrument connections{
    "db.client.connection.count", "{connection}", "Connections.", instrument_kind::gauge, {}};

std::string text_of(const prometheus_metrics& metrics) {
    return ::prometheus::TextSerializer().Serialize(metrics.Collect());
}

samples scrape(const prometheus_metrics& metrics) {
    return parse_exposition(text_of(metrics));
}

struct with_metrics {
    prometheus_metrics metrics;
};

TEST_CASE("prometheus: a scrape over HTTP has what is recorded and what is observed") {
    const auto metrics = std::make_shared<prometheus_metrics>();
    ::prometheus::Exposer exposer("127.0.0.1:0");
    exposer.RegisterCollectable(metrics);

    const attribute save[] = {{"db.operation.name", "save"}, {"pgstate.retried", true}};
    const attribute used[] = {{"db.client.connection.state", "used"}, {"shard", std::int64_t{2}}};
    const auto histogram = metrics->open(duration, save);
    const auto counter = metrics->open(sent_bytes, {});
    const auto gauge = metrics->observe(connections, used, [] { return 3.0; });
    REQUIRE((histogram && counter && gauge));
    for (const double value : {0.0005, 0.001, 0.05, 7.0})
        histogram->record(value);
    counter->record(100);
    counter->record(23.5);

    const auto text = http_get(exposer.GetListeningPorts().at(0), "/metrics");
    const auto found = parse_exposition(text);
    const std::string labels = R"(db_operation_name="save",pgstate_retried="true")";
    const std::string name = "db_client_operation_duration_seconds";
    CHECK(found.at(name + "_count{" + labels + "}") == 4);
    CHECK(std::abs(found.at(name + "_sum{" + labels + "}") - 7.0515) < 1e-9);
    for (const auto& [bound, count] : samples{{"0.001", 2}, {"0.01", 2}, {"0.1", 3}, {"+Inf", 4}})
        CHECK(found.at(name + "_bucket{" + labels + ",le=\"" + bound + "\"}") == count);
    CHECK(found.at("pgstate_io_bytes_total") == 123.5);
    CHECK(found.at(R"(db_client_connection_count{db_client_connection_state="used",shard="2"})") == 3);

    CHECK(text.find("# TYPE db_client_operation_duration_seconds histogram\n") != std::string::npos);
    CHECK(text.find("# TYPE pgstate_io_bytes_total counter\n") != std::string::npos);
    CHECK(text.find("# TYPE db_client_connection_count gauge\n") != std::string::npos);
    CHECK(text.find("# HELP db_client_connection_count Connections.\n") != std::string::npos);
}

TEST_CASE("prometheus: names end in the unit, and counters in total") {
    const auto name_of = [](std::string_view name, std::string_view unit, instrument_kind kind) {
        prometheus_metrics metrics;
        const auto kept = metrics.observe({name, unit, "", kind, {}}, {}, [] { return 1.0; });
        return metrics.Collect().at(0).name;
    };
    CHECK(name_of("a.b-c", "{thing}", instrument_kind::gauge) == "a_b_c");
    CHECK(name_of("a", "", instrument_kind::gauge) == "a");
    CHECK(name_of("a", "s", instrument_kind::gauge) == "a_seconds");
    CHECK(name_of("a.seconds", "s", instrument_kind::gauge) == "a_seconds");
    CHECK(name_of("a", "1", instrument_kind::gauge) == "a_ratio");
    CHECK(name_of("a", "1", instrument_kind::counter) == "a_total");
    CHECK(name_of("a", "By", instrument_kind::counter) == "a_bytes_total");
    CHECK(name_of("a.total", "{thing}", instrument_kind::counter) == "a_total");
    CHECK(name_of("9a", "{thing}", instrument_kind::gauge) == "_9a");
}

TEST_CASE_METHOD(with_metrics, "prometheus: stores with the same labels share the series") {
    const attribute labels[] = {{"db.operation.name", "save"}};
    const attribute others[] = {{"db.operation.name", "load"}};
    auto first = metrics.open(failures, labels);
    const auto second = metrics.open(failures, labels);
    const auto other = metrics.open(failures, others);
    first->record(1);
    second->record(2);
    other->record(10);
    CHECK(scrape(metrics).at(R"(pgstate_failures_total{db_operation_name="save"})") == 3);

    first.reset(); // neither what it counted nor the other's series goes with it
    second->record(4);
    CHECK(scrape(metrics) == samples{{R"(pgstate_failures_total{db_operation_name="load"})", 10},
                                     {R"(pgstate_failures_total{db_operation_name="save"})", 7}});

    const auto one = metrics.open(duration, labels);
    const auto same = metrics.open(duration, labels);
    one->record(0.5);
    same->record(0.5);
    CHECK(scrape(metrics).at(R"(db_client_operation_duration_seconds_count{db_operation_name="save"})") == 2);
}

TEST_CASE_METHOD(with_metrics, "prometheus: observations with the same labels are added up, and end") {
    const attribute used[] = {{"state", "used"}};
    const attribute idle[] = {{"state", "idle"}};
    double of_first = 2;
    auto first = metrics.observe(connections, used, [&] { return of_first; });
    auto second = metrics.observe(connections, used, [] { return 3.0; });
    auto third = metrics.observe(connections, idle, [] { return 1.0; });
    const std::string name = "db_client_connection_count";
    CHECK(scrape(metrics) == samples{{name + R"({state="used"})", 5}, {name + R"({state="idle"})", 1}});
    of_first = 0.5;
    CHECK(scrape(metrics).at(name + R"({state="used"})") == 3.5);

    first.reset();
    third.reset();
    CHECK(scrape(metrics) == samples{{name + R"({state="used"})", 3}});
    second.reset();
    CHECK(text_of(metrics).empty());
}

TEST_CASE_METHOD(with_metrics, "prometheus: an observed counter does not fall when an observation ends") {
    double of_first = 5;
    auto first = metrics.observe(failures, {}, [&] { return of_first; });
    const auto second = metrics.observe(failures, {}, [] { return 10.0; });
    CHECK(scrape(metrics) == samples{{"pgstate_failures_total", 15}});
    of_first = 6;
    CHECK(scrape(metrics) == samples{{"pgstate_failures_total", 16}});
    first.reset();
    CHECK(scrape(metrics) == samples{{"pgstate_failures_total", 16}});
}

TEST_CASE_METHOD(with_metrics, "prometheus: a value that cannot be read is left out, the others are not") {
    const attribute good[] = {{"is", "good"}};
    bool fails = true;
    const auto bad = metrics.observe(connections, {}, [&]() -> double {
        if (fails) throw std::runtime_error("not now");
        return 1;
    });
    const auto fine = metrics.observe(connections, good, [] { return 2.0; });
    CHECK(scrape(metrics) == samples{{R"(db_client_connection_count{is="good"})", 2}});
    fails = false;
    CHECK(scrape(metrics).size() == 2);
}

TEST_CASE_METHOD(with_metrics, "prometheus: the end of an observation waits for a reading under way") {
    check_end_waits_for_reading(
        metrics, connections, [&] { return metrics.Collect(); },
        [&] { // everything else goes on
            const auto counter = metrics.open(failures, {});
            counter->record(1);
            metrics.observe(failures, {}, [] { return 1.0; }).reset();
        });
}

TEST_CASE_METHOD(with_metrics, "prometheus: a reading may use the metrics") {
    std::unique_ptr<pgstate::metrics::observation> inner;
    const auto outer = metrics.observe(connections, {}, [&] {
        inner = metrics.observe(failures, {}, [] { return 4.0; });
        metrics.open(sent_bytes, {})->record(1);
        return 1.0;
    });
    CHECK(scrape(metrics).at("db_client_connection_count") == 1);
    CHECK(scrape(metrics).at("pgstate_failures_total") == 4);
}

TEST_CASE("prometheus: what is recorded goes into the program's registry if it gives one") {
    const auto registry = std::make_shared<::prometheus::Registry>();
    auto& own = ::prometheus::BuildCounter().Name("requests_total").Help("Own.").Register(*registry).Add({});
    own.Increment(9);
    prometheus_metrics metrics(registry);
    metrics.open(failures, {})->record(2);
    const auto observed = metrics.observe(connections, {}, [] { return 1.0; });
    CHECK(scrape(metrics) ==
          samples{{"requests_total", 9}, {"pgstate_failures_total", 2}, {"db_client_connection_count", 1}});
    CHECK(registry->Collect().size() == 2);

    // Something else of that name stays as it is.
    ::prometheus::BuildGauge().Name("pgstate_io_bytes_total").Help("Own.").Register(*registry).Add({}).Set(5);
    const auto same_name = metrics.observe(sent_bytes, {}, [] { return 1.0; });
    CHECK(scrape(metrics).at("pgstate_io_bytes_total") == 5);
    CHECK_THROWS_AS(metrics.open(sent_bytes, {}), std::invalid_argument);
}

TEST_CASE_METHOD(with_metrics, "prometheus: hostile labels and values") {
    const attribute labels[] = {{"a.b", "x\"y\\z\nforged 1"}, {"a_b", "second"}, {"1st", 0.1}};
    const auto counter = metrics.open(failures, labels);
    counter->record(-1);
    counter->record(std::numeric_limits<double>::quiet_NaN());
    counter->record(1);
    CHECK(scrape(metrics) ==
          samples{{R"(pgstate_failures_total{_1st="0.1",a_b="x\"y\\z\nforged 1;second"})", 1}});

    const auto histogram = metrics.open(duration, {});
    histogram->record(std::numeric_limits<double>::quiet_NaN());
    histogram->record(0.5);
    CHECK(scrape(metrics).at("db_client_operation_duration_seconds_sum") == 0.5);
}

TEST_CASE_METHOD(with_metrics, "prometheus: what is not wanted, and no registry") {
    CHECK(metrics.open(connections, {}) == nullptr);
    CHECK(metrics.observe(duration, {}, [] { return 1.0; }) == nullptr);
    CHECK(metrics.observe(connections, {}, {}) == nullptr);
    CHECK(metrics.Collect().empty());
    CHECK(failure_of([] { prometheus_metrics none(nullptr); }) == pgstate::errc::invalid_argument);
}

TEST_CASE("prometheus: what is returned may outlive the metrics") {
    auto metrics = std::make_unique<prometheus_metrics>();
    const auto counter = metrics->open(failures, {});
    const auto observed = metrics->observe(connections, {}, [] { return 1.0; });
    metrics.reset();
    counter->record(1);
}

TEST_CASE_METHOD(with_metrics, "prometheus: several threads record and open") {
    constexpr int threads = 4;
    constexpr int each = 2000;
    {
        std::vector<std::jthread> running;
        for (int t = 0; t < threads; ++t)
            running.emplace_back([&] {
                const auto histogram = metrics.open(duration, {});
                for (int i = 0; i < each; ++i) {
                    histogram->record(0.5);
                    if (i % 100 == 0) {
                        const auto observed = metrics.observe(connections, {}, [] { return 1.0; });
                        metrics.open(failures, {})->record(1);
                        metrics.Collect();
                    }
                }
            });
    }
    const auto found = scrape(metrics);
    CHECK(found.at("db_client_operation_duration_seconds_count") == threads * each);
    CHECK(found.at("pgstate_failures_total") == threads * each / 100);
}

} // namespace
