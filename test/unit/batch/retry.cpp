#include "batch/retry.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace {

using pgstate::batch::event;
using pgstate::batch::incident;
using pgstate::batch::most_attempts;

struct row {
    std::string_view sqlstate;
    bool broken;
    std::size_t operations;
    std::size_t attempts;
    event expected;
};

void check(const std::vector<row>& table) {
    for (const auto& one : table) {
        CAPTURE(one.sqlstate, one.broken, one.operations, one.attempts);
        incident what;
        what.operations = one.operations;
        what.attempts = one.attempts;
        what.broken = one.broken;
        what.failure.sqlstate = std::string(one.sqlstate);
        CHECK(pgstate::batch::classify(what) == one.expected);
    }
}

} // namespace

TEST_CASE("a statement on a lost connection is lost, whatever the server said in farewell", "[retry]") {
    for (const std::string_view farewell : {"", "57P01", "57P02", "57P03", "08006", "08P01"})
        check({
            {farewell, true, 1, 1, event::lost},
            {farewell, true, 20, 1, event::lost},
            {farewell, true, 1, most_attempts, event::lost},
        });
}

TEST_CASE("a statement that was refused before the connection was lost is rolled back", "[retry]") {
    check({
        {"40001", true, 1, 1, event::refused_for_now},
        {"40P01", true, 20, 1, event::refused_for_now},
        {"25006", true, 1, 1, event::refused_for_now},
        {"26000", true, 1, 1, event::refused_statement},
        {"23514", true, 1, 1, event::refused},
        {"23514", true, 2, 1, event::refused_shared},
        {"57014", true, 1, 1, event::refused}, // a cancelled statement is no farewell
    });
}

TEST_CASE("a write in doubt is settled, unless the server will never answer", "[retry]") {
    incident what;
    what.settles = true;
    const auto meaning = [&](const char* sqlstate, std::size_t attempts) {
        what.failure.sqlstate = sqlstate;
        what.attempts = attempts;
        return pgstate::batch::classify(what);
    };
    for (const std::size_t attempts : std::array<std::size_t, 3>{1, most_attempts, most_attempts + 1})
        for (const char* passing : {"40001", "53200", "57014", "58000", "XX000"})
            CHECK(meaning(passing, attempts) == event::refused_for_now);
    CHECK(meaning("42501", 1) == event::refused);
    CHECK(meaning("42P01", 1) == event::refused);
    CHECK(meaning("26000", 1) == event::refused_statement);
}

TEST_CASE("serialization failures and deadlocks are sent again after a pause", "[retry]") {
    for (const std::string_view sqlstate : {"40001", "40P01"})
        check({
            {sqlstate, false, 1, 1, event::refused_for_now},
            {sqlstate, false, 20, 1, event::refused_for_now},
            {sqlstate, false, 1, most_attempts - 1, event::refused_for_now},
            {sqlstate, false, 1, most_attempts, event::refused},
            {sqlstate, false, 20, most_attempts, event::refused_shared},
        });
}

TEST_CASE("a server that only reads is left for another", "[retry]") {
    check({
        {"25006", false, 1, 1, event::refused_for_now},
        {"25006", false, 20, 1, event::refused_for_now},
        {"25006", false, 1, most_attempts - 1, event::refused_for_now},
        {"25006", false, 1, most_attempts, event::refused},
        {"25006", false, 20, most_attempts, event::refused_shared},
    });
}

TEST_CASE("lost or outdated prepared statements are prepared anew, each of an exchange's three once",
          "[retry]") {
    for (const std::string_view sqlstate : {"26000", "0A000"})
        check({
            {sqlstate, false, 1, 1, event::refused_statement},
            {sqlstate, false, 20, 1, event::refused_statement},
            {sqlstate, false, 1, 2, event::refused_statement},
            {sqlstate, false, 20, 2, event::refused_statement},
            {sqlstate, false, 1, 3, event::refused_statement},
            {sqlstate, false, 1, 4, event::refused},
            {sqlstate, false, 20, 4, event::refused_shared},
            {sqlstate, false, 1, most_attempts, event::refused},
        });
}

TEST_CASE("of several operations each is tried alone; one alone fails", "[retry]") {
    for (const std::string_view sqlstate :
         {"23514", "22P05", "42P01", "42501", "57014", "53300", "57P01", ""})
        check({
            {sqlstate, false, 1, 1, event::refused},
            {sqlstate, false, 2, 1, event::refused_shared},
            {sqlstate, false, 256, 1, event::refused_shared},
            {sqlstate, false, 1, most_attempts, event::refused},
        });
}

TEST_CASE("what the engine's own limits end is known as that", "[retry]") {
    pgstate::batch::incident what;
    what.operations = 20;
    what.attempts = most_attempts;
    for (const bool limited : {false, true}) {
        what.time_limited = what.locks_limited = limited;
        what.failure.sqlstate = "55P03";
        CHECK(classify(what) == (limited ? event::refused_lock : event::refused_shared));
        what.failure.sqlstate = "57014";
        CHECK(classify(what) == (limited ? event::refused_time : event::refused_shared));
    }
}
