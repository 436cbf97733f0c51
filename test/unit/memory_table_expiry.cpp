#include "memory/table.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>

using namespace std::chrono_literals;
using pgstate::memory::memory_row;

TEST_CASE("rows that have expired leave a memory table as others are put into it", "[memory]") {
    pgstate::timestamp now{1h};
    pgstate::memory::table table([&] { return now; }, 0ms);
    memory_row expiring;
    expiring.expires_at = now + 1min;
    for (int i = 0; i < 50; ++i) {
        table.put({"agent-" + std::to_string(i % 7), "expiring-" + std::to_string(i)}, expiring);
        table.put({"agent-" + std::to_string(i % 7), "staying-" + std::to_string(i)}, {});
    }
    CHECK(table.rows() == 100);
    now += 1min;
    CHECK(table.rows() == 100);
    for (int i = 0; i < 51; ++i) // looks at two rows each time: this is at least once round
        table.put({"agent-1", "another"}, {});
    CHECK(table.rows() == 51);
    CHECK(table.count(std::nullopt) == 51);
    CHECK(table.find({"agent-3", "staying-3"}) != nullptr);

    // An agent without a session is none.
    expiring.expires_at = now + 1min;
    table.put({"alone", "s"}, expiring);
    now += 1min;
    for (int i = 0; i < 60; ++i)
        table.put({"agent-1", "another"}, {});
    CHECK(table.rows() == 51);
}

TEST_CASE("a memory table that only ever gets rows which expire does not grow for ever", "[memory]") {
    pgstate::timestamp now{1h};
    pgstate::memory::table table([&] { return now; }, 0ms);
    for (int i = 0; i < 1000; ++i) {
        memory_row row;
        row.expires_at = now + 10s;
        table.put({"agent-" + std::to_string(i % 3), std::to_string(i)}, row);
        now += 1s;
    }
    CHECK(table.rows() <= 50);
}
