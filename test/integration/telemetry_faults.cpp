// Loggers, metrics and tracers that throw or take their time.

#include "integration/store_support.hpp"

#include <boost/asio/use_future.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <variant>

namespace {

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::log_level;

class hostile_telemetry final : public pgstate::logger, public pgstate::metrics, public pgstate::tracer {
public:
    [[noreturn]] static void fail() { throw std::runtime_error("out of order"); }
    bool enabled(log_level) const override { fail(); }
    void log(const pgstate::log_record&) override { fail(); }
    std::unique_ptr<series> open(const pgstate::instrument&, std::span<const pgstate::attribute>) override {
        class bad final : public series {
            void record(double) override { fail(); }
        };
        if (++opened_ % 2 == 0) fail();
        return std::make_unique<bad>();
    }
    std::unique_ptr<observation> observe(const pgstate::instrument&, std::span<const pgstate::attribute>,
                                         std::function<double()>) override {
        fail();
    }
    std::unique_ptr<pgstate::span> start(const pgstate::span_start&) override {
        class bad final : public pgstate::span {
            pgstate::span_context context() const override { fail(); }
            void set(std::span<const pgstate::attribute>) override { fail(); }
            void event(std::string_view, std::chrono::steady_clock::time_point,
                       std::span<const pgstate::attribute>) override {
                fail();
            }
            void end(std::chrono::steady_clock::time_point, std::string_view) override { fail(); }
        };
        if (++started_ % 2 == 0) fail();
        return std::make_unique<bad>();
    }
    pgstate::span_context current() override { fail(); }
    std::unique_ptr<scope> activate(pgstate::span&) override { fail(); }

private:
    std::atomic<int> opened_{0};
    std::atomic<int> started_{0};
};

/// A logger that, for the records of one session, takes until it is let go.
class stuck_log final : public pgstate::logger {
public:
    bool enabled(log_level) const override { return true; }
    void log(const pgstate::log_record& what) override {
        for (const auto& each : what.attributes)
            if (each.key == "pgstate.session.id" && std::get<std::string_view>(each.value) == "stuck") {
                stuck = true;
                stuck.notify_all();
                let_go.wait(false);
            }
    }
    std::atomic<bool> stuck{false};
    std::atomic<bool> let_go{false};
};

} // namespace

TEST_CASE("telemetry that throws breaks nothing", "[telemetry]") {
    const auto bad = std::make_shared<hostile_telemetry>();
    pgstate::config config;
    config.logger = bad;
    config.metrics = bad;
    config.tracer = bad;
    opened_store f("&pool_max_conns=2", config);
    for (int i = 0; i < 10; ++i)
        f.wait(f.store.save(numbered_state(i, std::to_string(i))));
    CHECK(f.wait(f.store.list("a")).size() == 10);
    CHECK(f.wait(f.store.count("a")) == 10);
    f.wait(f.store.transaction([](pgstate::transaction& tx) { tx.erase("a", "1"); }));
    CHECK(!f.wait(f.store.load("a", "1")));
}

TEST_CASE("telemetry that takes its time delays nobody else's operation", "[telemetry]") {
    const auto log = std::make_shared<stuck_log>();
    pgstate::config config;
    config.logger = log;
    config.telemetry.log_ids = true;
    opened_store f("&pool_max_conns=1", config);
    // Two threads run the executor; one of them will be stuck in the logger.
    const auto guard = asio::make_work_guard(f.context);
    f.context.restart();
    std::thread first([&] { f.context.run(); });
    std::thread second([&] { f.context.run(); });
    auto stuck = f.store.load("a", "stuck", asio::use_future);
    log->stuck.wait(false);
    for (int i = 0; i < 100; ++i)
        CHECK(!f.store.load("a", std::to_string(i), asio::use_future).get());
    CHECK(stuck.wait_for(0s) == std::future_status::timeout);
    log->let_go = true;
    log->let_go.notify_all();
    CHECK(!stuck.get());
    f.context.stop();
    first.join();
    second.join();
}
