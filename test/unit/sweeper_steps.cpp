#include "pgstate/error.hpp"
#include "postgres/sweeper.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <utility>

namespace {

using namespace std::chrono_literals;
using pgstate::errc;
using pgstate::postgres::sweeper;
using pgstate::postgres::swept;

/// A store in which nothing happens until the test says so.
class sweep_host final : public sweeper::host {
public:
    bool busy() const override { return is_busy; }
    void sweep(pgstate::postgres::sweep_request what, bool failing,
               pgstate::postgres::sweep_operation::handler_type over) override {
        asked_most = what.most;
        told_failing = failing;
        under_way.push_back(std::move(over));
    }
    void left_protected(std::uint64_t number, std::string_view) override { told_protected = number; }
    void after(std::chrono::steady_clock::duration delay, std::function<void()> then) override {
        last_delay = delay;
        timers.push_back(std::move(then));
    }

    void fire() {
        REQUIRE(timers.size() == 1);
        const auto then = std::exchange(timers, {}).front();
        then();
    }
    void end(const pgstate::result<swept>& outcome) {
        REQUIRE(under_way.size() == 1);
        auto over = std::move(under_way.front());
        under_way.clear();
        std::move(over)(outcome);
    }

    bool is_busy = false;
    std::size_t asked_most = 0;
    bool told_failing = false;
    std::uint64_t told_protected = 0;
    std::chrono::steady_clock::duration last_delay{};
    std::deque<pgstate::postgres::sweep_operation::handler_type> under_way;
    std::deque<std::function<void()>> timers;
};

struct sweeper_under_test {
    explicit sweeper_under_test(std::chrono::milliseconds period = 60s)
        : what(std::make_shared<sweeper>(pgstate::sweep_config{.period = period, .batch = 10})) {
        what->start(host);
    }
    std::shared_ptr<sweep_host> host = std::make_shared<sweep_host>();
    std::shared_ptr<sweeper> what;
};

} // namespace

TEST_CASE("without a period there is no sweeping", "[sweep]") {
    const sweeper_under_test off(0ms);
    CHECK(off.host->timers.empty());
}

TEST_CASE_METHOD(sweeper_under_test, "a sweeper has one timer or one batch, never more", "[sweep]") {
    for (const auto& [rows, soon] : {std::pair(swept{10, true}, true), std::pair(swept{9, true}, false),
                                     std::pair(swept{0, true}, false), std::pair(swept{0, false}, false)}) {
        host->fire();
        CHECK(host->timers.empty());
        CHECK(host->asked_most == 10);
        host->end(rows);
        CHECK(host->under_way.empty());
        CHECK(host->timers.size() == 1);
        CHECK((host->last_delay < 40s) == soon);
    }
    CHECK(what->swept_rows() == 19);
}

TEST_CASE_METHOD(sweeper_under_test, "a sweeper waits while the store is busy", "[sweep]") {
    host->is_busy = true;
    host->fire();
    CHECK(host->under_way.empty());
    CHECK(host->timers.size() == 1);
    CHECK(host->last_delay <= 1s);
    host->is_busy = false;
    host->fire();
    CHECK(host->under_way.size() == 1);
}

TEST_CASE_METHOD(sweeper_under_test, "a sweeper goes on after a failure, and says that it is failing",
                 "[sweep]") {
    host->fire();
    CHECK_FALSE(host->told_failing);
    host->end(pgstate::error(errc::timed_out, "sweep"));
    host->fire();
    CHECK(host->told_failing);
    host->end(swept{1, true});
    host->fire();
    CHECK_FALSE(host->told_failing);
}

TEST_CASE_METHOD(sweeper_under_test,
                 "a sweeper ends with its store, closed or destroyed, and when it is stopped", "[sweep]") {
    SECTION("closed") {
        host->fire();
        host->end(pgstate::error(errc::closed, "sweep"));
        CHECK(host->timers.empty());
    }
    SECTION("stopped") {
        what->stop();
        host->fire();
        CHECK(host->under_way.empty());
        CHECK(host->timers.empty());
    }
    SECTION("gone") {
        const auto timer = host->timers.front();
        host.reset();
        timer();
        what.reset();
        timer();
    }
    SECTION("gone while a batch is under way") {
        host->fire();
        auto over = std::move(host->under_way.front());
        host.reset();
        std::move(over)(swept{5, true});
        CHECK(what->swept_rows() == 5);
    }
}
