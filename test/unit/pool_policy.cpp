#include "pool/policy.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstddef>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;

namespace {

using pgstate::pool::backoff;
using pgstate::pool::census;
using pgstate::pool::connections_to_start;
using pgstate::pool::max_concurrent_connects;
using pgstate::pool::retire;
using pgstate::pool::retirement;

pgstate::pool_config limits(std::size_t max_conns, std::size_t min_conns = 0,
                            std::size_t min_idle_conns = 0) {
    return {.max_conns = max_conns, .min_conns = min_conns, .min_idle_conns = min_idle_conns};
}

struct situation {
    std::string_view name;
    pgstate::pool_config with;
    census have;
    std::size_t expected;
};

constexpr census have(std::size_t total, std::size_t connecting, std::size_t idle, std::size_t waiters,
                      std::size_t ending = 0) {
    return {.total = total, .connecting = connecting, .idle = idle, .waiters = waiters, .ending = ending};
}

std::vector<situation> situations() {
    return {
        {"nobody wants one", limits(4), have(0, 0, 0, 0), 0},
        {"one for a waiter", limits(4), have(0, 0, 0, 1), 1},
        {"one for each waiter", limits(9), have(2, 0, 0, 3), 3},
        {"not for a waiter who has one coming", limits(9), have(2, 2, 0, 3), 1},
        {"not for a waiter with an idle one", limits(9), have(2, 0, 2, 2), 0},
        {"more coming than wanted", limits(9), have(5, 5, 0, 1), 0},
        {"no more than max_conns", limits(4), have(3, 0, 0, 9), 1},
        {"full", limits(4), have(4, 0, 0, 9), 0},
        {"beyond full", limits(4), have(5, 0, 0, 9), 0},
        {"one that ends keeps its place", limits(4), have(2, 0, 0, 9, 1), 1},
        {"and fills the pool", limits(4), have(3, 0, 0, 9, 1), 0},
        {"all end but one", limits(4), have(1, 0, 0, 9, 3), 0},
        {"all end", limits(4), have(0, 0, 0, 9, 4), 1},
        {"all end, and one more is there", limits(4), have(1, 0, 0, 9, 4), 0},
        {"that one ends too", limits(4), have(0, 0, 0, 9, 5), 0},
        {"the only one ends", limits(1), have(0, 0, 0, 9, 1), 1},
        {"not all at once", limits(100), have(0, 0, 0, 50), max_concurrent_connects},
        {"not all at once, with some coming", limits(100), have(6, 6, 0, 50), max_concurrent_connects - 6},
        {"enough under way", limits(100), have(max_concurrent_connects, max_concurrent_connects, 0, 50), 0},
        {"up to min_conns", limits(9, 3), have(1, 0, 1, 0), 2},
        {"those being made count for min_conns", limits(9, 3), have(2, 2, 0, 0), 1},
        {"those in use count for min_conns", limits(9, 3), have(3, 0, 0, 0), 0},
        {"up to min_idle_conns", limits(9, 0, 2), have(5, 0, 0, 0), 2},
        {"those being made count for min_idle_conns", limits(9, 0, 2), have(5, 1, 0, 0), 1},
        {"min_idle_conns only up to max_conns", limits(6, 0, 2), have(5, 0, 0, 0), 1},
        {"one serves several reasons", limits(9, 3, 1), have(1, 0, 0, 1), 2},
    };
}

} // namespace

TEST_CASE("how many connections to start, none of them in the pause after a failure", "[pool_policy]") {
    for (const auto& one : situations()) {
        CAPTURE(one.name);
        CHECK(connections_to_start(one.have, one.with, false) == one.expected);
        CHECK(connections_to_start(one.have, one.with, true) == 0);
    }
}

TEST_CASE("which idle connections have to go", "[pool_policy]") {
    auto with = limits(4);
    with.max_conn_idle_time = 10min;
    const auto now = pgstate::pool::clock::time_point{} + 100h;

    CHECK_FALSE(retire(now, now + 1ms, now, 1, with));
    CHECK_FALSE(retire(now, now + 1h, now - 10min + 1ms, 1, with));
    CHECK(retire(now, now, now, 0, with) == retirement::lifetime);
    CHECK(retire(now, now - 1h, now, 1, with) == retirement::lifetime);
    CHECK(retire(now, now + 1h, now - 10min, 1, with) == retirement::idle_time);
    CHECK(retire(now, now + 1h, now - 20h, 3, with) == retirement::idle_time);
    CHECK_FALSE(retire(now, now + 1h, now - 20h, 0, with)); // the minimum stays
    CHECK(retire(now, now, now - 20h, 1, with) == retirement::lifetime);
}

TEST_CASE("the pause after failures doubles from 50 ms to 800 ms", "[pool_policy]") {
    const std::vector<std::chrono::milliseconds> bounds{50ms, 100ms, 200ms, 400ms, 800ms, 800ms, 800ms};
    for (std::size_t i = 0; i < bounds.size(); ++i) {
        CAPTURE(i);
        CHECK(backoff(i + 1, 1.0) == bounds[i]);
        CHECK(backoff(i + 1, 0.0) == bounds[i] / 2);
        const auto between = backoff(i + 1, 0.5);
        CHECK(between > bounds[i] / 2);
        CHECK(between < bounds[i]);
    }
    CHECK(backoff(0, 1.0) == 50ms);
    CHECK(backoff(static_cast<std::size_t>(-1), 1.0) == 800ms);
}
