#include "support/recorded.hpp"
#include "telemetry/names.hpp"
#include "telemetry/series_slot.hpp"

#include <boost/asio/error.hpp>

#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using namespace pgstate;
using pgstate_test::recorded_log;
using pgstate_test::recorded_metrics;

class failing_log final : public logger {
public:
    bool enabled(log_level) const override { throw std::runtime_error("enabled"); }
    void log(const log_record&) override { throw std::runtime_error("log"); }
};

class failing_metrics final : public metrics {
public:
    std::unique_ptr<series> open(const instrument&, std::span<const attribute>) override {
        throw std::runtime_error("open");
    }
};

constexpr instrument things{"things", "{thing}", "Things.", instrument_kind::counter, {}};

} // namespace

TEST_CASE("two loggers as one: each gets what it wants, also when the other throws", "[telemetry]") {
    const auto all = std::make_shared<recorded_log>(log_level::debug);
    const auto few = std::make_shared<recorded_log>(log_level::warn);
    composite_logger both({std::make_shared<failing_log>(), all, nullptr, few});
    CHECK(both.enabled(log_level::warn));
    CHECK(both.enabled(log_level::debug));
    CHECK(!both.enabled(log_level::trace));

    const attribute said{"key", std::int64_t{7}};
    log_record record;
    record.message = "something";
    record.attributes = {&said, 1};
    record.level = log_level::info;
    both.log(record);
    record.level = log_level::error;
    both.log(record);
    CHECK(all->all("something").size() == 2);
    CHECK(few->all("something").size() == 1);
    CHECK(few->all().front().attributes.at("key") == "7");
}

TEST_CASE("two metrics as one: both count and both read, also when a third throws", "[telemetry]") {
    const auto one = std::make_shared<recorded_metrics>();
    const auto other = std::make_shared<recorded_metrics>();
    composite_metrics both({one, std::make_shared<failing_metrics>(), other});
    const auto counted = both.open(things, {});
    REQUIRE(counted);
    counted->record(2);
    CHECK(one->values("things") == std::vector<double>{2});
    CHECK(other->values("things") == std::vector<double>{2});
    {
        const auto read = both.observe(things, {}, [] { return 5.0; });
        REQUIRE(read);
        CHECK(one->read("things") == 5);
        CHECK(other->read("things") == 5);
    }
    CHECK_THROWS(one->read("things"));
    CHECK(!composite_metrics({std::make_shared<failing_metrics>()}).open(things, {}));
}

TEST_CASE("a series is opened when it is first recorded into, once for all threads", "[telemetry]") {
    recorded_metrics to;
    telemetry::series_slot slot;
    CHECK(to.keys().empty());
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int n = 0; n < 100; ++n)
                slot.record(1, [&] { return to.open(things, {}); });
        });
    for (auto& each : threads)
        each.join();
    CHECK(to.values("things").size() == 400);

    telemetry::series_slot unwanted;
    int asked = 0;
    for (int i = 0; i < 3; ++i)
        unwanted.record(1, [&] {
            ++asked;
            return std::unique_ptr<metrics::series>();
        });
    CHECK(asked == 1);
}

TEST_CASE("error.type is an errc's name, a SQLSTATE, or cancelled", "[telemetry]") {
    using telemetry::error_type;
    CHECK(error_type(error(errc::conflict, "save")) == "conflict");
    CHECK(error_type(error(errc::outcome_unknown, "save")) == "outcome_unknown");
    CHECK(error_type(error(errc::overloaded, "save")) == "overloaded");
    CHECK(error_type(error::from_server("40P01", "save", "deadlock detected")) == "40P01");
    CHECK(error_type(error(boost::asio::error::operation_aborted, "save")) == "cancelled");
    CHECK(error_type(error(boost::asio::error::connection_refused, "save")) == "_OTHER");
}

TEST_CASE("ids are hashed alike in every process", "[telemetry]") {
    CHECK(telemetry::hash_of("") == "cbf29ce484222325"); // FNV-1a's published values
    CHECK(telemetry::hash_of("a") == "af63dc4c8601ec8c");
    CHECK(telemetry::hash_of("foobar") == "85944171f73967e8");
}
