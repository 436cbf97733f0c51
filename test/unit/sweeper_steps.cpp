#include "pgstate/error.hpp"
#include "postgres/sweeper.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
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
    void left_protected(std::uint64_t rows, std::string_view) override { told_protected = rows; }
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

pgstate::error sweep_failure(errc why) {
    return pgstate::error(why, "sweep");
}

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

TEST_CASE("a sweeper has one timer or one batch, never more", "[sweep]") {
    const sweeper_under_test test;
    auto& host = *test.host;
    for (const auto& [what, soon] : {std::pair(swept{10, true}, true), std::pair(swept{9, true}, false),
                                     std::pair(swept{0, true}, false), std::pair(swept{0, false}, false)}) {
        host.fire();
        CHECK(host.timers.empty());
        CHECK(host.asked_most == 10);
        host.end(what);
        CHECK(host.under_way.empty());
        CHECK(host.timers.size() == 1);
        CHECK((host.last_delay < 40s) == soon);
    }
    CHECK(test.what->swept_rows() == 19);
}

TEST_CASE("a sweeper waits while the store is busy", "[sweep]") {
    const sweeper_under_test test;
    auto& host = *test.host;
    host.is_busy = true;
    host.fire();
    CHECK(host.under_way.empty());
    CHECK(host.timers.size() == 1);
    CHECK(host.last_delay <= 1s);
    host.is_busy = false;
    host.fire();
    CHECK(host.under_way.size() == 1);
}

TEST_CASE("a sweeper goes on after a failure, and says that it is failing", "[sweep]") {
    const sweeper_under_test test;
    auto& host = *test.host;
    host.fire();
    CHECK_FALSE(host.told_failing);
    host.end(sweep_failure(errc::timed_out));
    host.fire();
    CHECK(host.told_failing);
    host.end(swept{1, true});
    host.fire();
    CHECK_FALSE(host.told_failing);
}

TEST_CASE("a sweeper ends with its store, closed or destroyed, and when it is stopped", "[sweep]") {
    {
        const sweeper_under_test closed;
        closed.host->fire();
        closed.host->end(sweep_failure(errc::closed));
        CHECK(closed.host->timers.empty());
    }
    {
        const sweeper_under_test stopped;
        stopped.what->stop();
        stopped.host->fire();
        CHECK(stopped.host->under_way.empty());
        CHECK(stopped.host->timers.empty());
    }
    {
        sweeper_under_test gone;
        const auto timer = gone.host->timers.front();
        gone.host.reset();
        timer();
        gone.what.reset();
        timer();
    }
    {
        sweeper_under_test gone_under_way;
        gone_under_way.host->fire();
        auto over = std::move(gone_under_way.host->under_way.front());
        gone_under_way.host.reset();
        std::move(over)(swept{5, true});
        CHECK(gone_under_way.what->swept_rows() == 5);
    }
}
