#include "detail/deadline.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>

TEST_CASE("a time-out that the clock cannot count is none", "[time-out]") {
    using namespace std::chrono_literals;
    using clock = std::chrono::steady_clock;
    using pgstate::detail::deadline_after;
    const clock::time_point now{1h};
    CHECK(deadline_after(now, 0ms) == now);
    CHECK(deadline_after(now, 20ms) == now + 20ms);
    CHECK(deadline_after(now, std::chrono::milliseconds::max()) == clock::time_point::max());
    CHECK(deadline_after(now, std::chrono::hours(24 * 365 * 100)) < clock::time_point::max());
    CHECK(deadline_after(now, std::chrono::hours(24 * 365 * 300)) == clock::time_point::max());
}
