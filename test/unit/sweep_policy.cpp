#include "postgres/sweep_policy.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>

using namespace std::chrono_literals;
using pgstate::postgres::sweep_outcome;
using pgstate::postgres::sweep_policy;

namespace {

constexpr sweep_policy::clock::time_point sweep_start{1000s};

} // namespace

TEST_CASE("the first batch of a sweeper comes anywhere in the first period", "[sweep]") {
    sweep_policy policy(60s);
    CHECK(policy.begin(sweep_start, 0) == sweep_start);
    CHECK(policy.begin(sweep_start, 0.5) == sweep_start + 30s);
    CHECK(policy.begin(sweep_start, 1) == sweep_start + 60s);
    CHECK_FALSE(policy.failing());
}

TEST_CASE("a sweeper that found little, or no place, comes again after most of a period", "[sweep]") {
    for (const auto how : {sweep_outcome::rest, sweep_outcome::lost, sweep_outcome::failed}) {
        sweep_policy policy(60s);
        policy.begin(sweep_start, 0);
        const auto ended = sweep_start + 5s;
        CHECK(policy.over(how, sweep_start, ended, 0) == ended + 45s);
        CHECK(policy.over(how, sweep_start, ended, 1) == ended + 60s);
    }
}

TEST_CASE("a full batch is followed by another, after as long a pause", "[sweep]") {
    sweep_policy policy(60s);
    policy.begin(sweep_start, 0);
    CHECK(policy.over(sweep_outcome::full, sweep_start, sweep_start + 7ms, 0) == sweep_start + 14ms);
    CHECK(policy.over(sweep_outcome::full, sweep_start, sweep_start + 2s, 1) == sweep_start + 4s);
}

TEST_CASE("a batch is put off while others wait, but not for longer than a period", "[sweep]") {
    sweep_policy policy(60s);
    policy.begin(sweep_start, 0);
    CHECK(policy.ask(sweep_start, false) == std::nullopt);
    CHECK(policy.ask(sweep_start, true) == sweep_start + 1s);
    CHECK(policy.ask(sweep_start + 59'500ms, true) == sweep_start + 60s);
    CHECK(policy.ask(sweep_start + 60s, true) == std::nullopt);

    // Counted from the last batch, whatever came of it.
    for (const auto how :
         {sweep_outcome::full, sweep_outcome::rest, sweep_outcome::lost, sweep_outcome::failed}) {
        policy.over(how, sweep_start + 60s, sweep_start + 61s, 0.5);
        CHECK(policy.ask(sweep_start + 120s, true) == sweep_start + 121s);
        CHECK(policy.ask(sweep_start + 121s, true) == std::nullopt);
    }

    // How often it asks follows the period.
    for (const auto period : {100ms, 2000ms}) {
        policy = sweep_policy(period);
        policy.begin(sweep_start, 0);
        CHECK(policy.ask(sweep_start, true) == sweep_start + period / 20);
    }
}

TEST_CASE("a failure is news until the next success", "[sweep]") {
    sweep_policy policy(1s);
    for (int streak = 0; streak < 2; ++streak) {
        CHECK_FALSE(policy.failing());
        for (int times = 0; times < 2; ++times) {
            policy.over(sweep_outcome::failed, sweep_start, sweep_start, 0);
            CHECK(policy.failing());
        }
        policy.over(sweep_outcome::rest, sweep_start, sweep_start, 0);
    }
}
