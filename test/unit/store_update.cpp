#include "compose/composed.hpp"
#include "pgstate/error.hpp"
#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstddef>
#include <vector>

using namespace std::chrono_literals;

TEST_CASE("the pause after a conflict grows up to a limit, and is all chance", "[update]") {
    using pgstate::compose::conflict_pause;
    CHECK(conflict_pause(1, 1) == 2ms);
    CHECK(conflict_pause(2, 1) == 4ms);
    CHECK(conflict_pause(8, 1) == 256ms);
    CHECK(conflict_pause(9, 1) == 500ms);
    CHECK(conflict_pause(1'000'000, 1) == 500ms);
    CHECK(conflict_pause(5, 0) == 0ms);
    CHECK(conflict_pause(5, 0.5) == 16ms);
}

TEST_CASE("an atomic save takes the states in the order of their keys, by bytes", "[bulk]") {
    const auto order = [](const std::vector<pgstate::agent_state>& states) {
        std::vector<pgstate::detail::encoded_state> encoded;
        for (const auto& each : states)
            encoded.emplace_back(each);
        return pgstate::compose::order_by_key(encoded);
    };
    CHECK(order({}).empty());
    CHECK(order({{"b", "1"}, {"a", "2"}, {"a", "10"}, {"\xc3\xa4", "0"}, {"B", "9"}}) ==
          std::vector<std::size_t>{4, 2, 1, 0, 3});

    const auto twice = pgstate_test::failure_of([&] { order({{"a", "1"}, {"b", "1"}, {"a", "1"}}); });
    CHECK(twice == pgstate::errc::invalid_argument);
    CHECK(pgstate_test::names(twice, "states[0] and states[2]"));
    const auto refused = pgstate_test::failure_of([&] { order({{"a", "1"}, {"", "1"}}); });
    CHECK(refused == pgstate::errc::invalid_argument);
    CHECK(pgstate_test::names(refused, "states[1]"));
}
