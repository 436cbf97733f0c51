#include "codec/json_writer.hpp"
#include "pgstate/error.hpp"
#include "pgstate/rfc3339.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <vector>

using pgstate::from_rfc3339;
using pgstate::timestamp;
using pgstate::to_nearest_rfc3339;
using pgstate::to_rfc3339;
using pgstate::codec::append_rfc3339;
using namespace std::chrono;

namespace {

std::string written(timestamp when) {
    std::string out;
    REQUIRE(append_rfc3339(out, when));
    return out;
}

timestamp at(int y, unsigned m, unsigned d, microseconds rest = {}) {
    return sys_days(year(y) / month(m) / day(d)) + rest;
}

} // namespace

TEST_CASE("times are written as Go writes them", "[rfc3339]") {
    CHECK(written(at(2024, 2, 29, 23h + 59min + 59s)) == "2024-02-29T23:59:59Z");
    CHECK(written(at(2024, 1, 1, 123456us)) == "2024-01-01T00:00:00.123456Z");
    CHECK(written(at(2024, 1, 1, 500ms)) == "2024-01-01T00:00:00.5Z");
    CHECK(written(at(2024, 1, 1, 1us)) == "2024-01-01T00:00:00.000001Z");
    CHECK(written(at(2024, 1, 1, 100us)) == "2024-01-01T00:00:00.0001Z");
    CHECK(written(timestamp{}) == "1970-01-01T00:00:00Z");
    CHECK(written(at(1, 1, 1)) == "0001-01-01T00:00:00Z");
    CHECK(written(at(0, 1, 1)) == "0000-01-01T00:00:00Z");
    CHECK(written(at(1969, 12, 31, 23h + 59min + 59s + 999999us)) == "1969-12-31T23:59:59.999999Z");
    CHECK(written(at(9999, 12, 31, 24h - 1us)) == "9999-12-31T23:59:59.999999Z");
}

TEST_CASE("times for readers have all digits, so that they sort as texts", "[rfc3339]") {
    CHECK(to_rfc3339(timestamp(1us)) == "1970-01-01T00:00:00.000001Z");
    CHECK(to_rfc3339(timestamp(-1us)) == "1969-12-31T23:59:59.999999Z");
    CHECK(to_rfc3339(at(2026, 11, 25, 21h)) == "2026-11-25T21:00:00.000000Z");
    CHECK(from_rfc3339(to_rfc3339(at(9999, 12, 31, 24h - 1us))) == at(9999, 12, 31, 24h - 1us));
    CHECK_THROWS_AS(to_rfc3339(at(10000, 1, 1)), pgstate::error);
}

TEST_CASE("the nearest time is written where a year has more or fewer than four digits", "[rfc3339]") {
    const auto latest = at(9999, 12, 31, 24h - 1us);
    CHECK(to_nearest_rfc3339(at(2026, 11, 25, 21h)) == "2026-11-25T21:00:00.000000Z");
    CHECK(to_nearest_rfc3339(latest) == to_rfc3339(latest));
    for (const timestamp late : {latest + 1us, timestamp::max()})
        CHECK(to_nearest_rfc3339(late) == to_rfc3339(latest));
    for (const timestamp early : {at(0, 12, 31), at(-43, 3, 15), timestamp::min()})
        CHECK(to_nearest_rfc3339(early) == "0001-01-01T00:00:00.000000Z");
}

TEST_CASE("years that RFC 3339 does not have are not written", "[rfc3339]") {
    std::string out = "x";
    for (const timestamp when : {timestamp::min(), timestamp::max(), at(10000, 1, 1), at(0, 1, 1) - 1us}) {
        CHECK_FALSE(append_rfc3339(out, when));
        CHECK(out == "x");
    }
}

TEST_CASE("what is written reads back", "[rfc3339]") {
    // A prime number of microseconds as the step, so that every field takes many values.
    const auto end = at(9999, 12, 31);
    for (timestamp when = at(0, 1, 1); when < end; when += microseconds(77'777'777'777'779)) {
        const auto back = from_rfc3339(written(when));
        REQUIRE(back.has_value());
        REQUIRE(*back == when);
    }
}

TEST_CASE("every spelling of RFC 3339 is read", "[rfc3339]") {
    const auto noon = at(2024, 6, 7, 12h);
    for (const char* text :
         {"2024-06-07T12:00:00Z", "2024-06-07t12:00:00z", "2024-06-07 12:00:00Z", "2024-06-07T12:00:00.0Z",
          "2024-06-07T12:00:00.000000000Z", "2024-06-07T12:00:00+00:00", "2024-06-07T12:00:00-00:00",
          "2024-06-07T14:00:00+02:00", "2024-06-07T06:30:00-05:30", "2024-06-08T01:00:00+13:00",
          "2024-06-06T23:00:00-13:00"}) {
        INFO(text);
        CHECK(from_rfc3339(text) == noon);
    }
    // Go writes nanoseconds: cut off, not rounded, before 1970 too.
    CHECK(from_rfc3339("2024-06-07T12:00:00.123456789Z") == noon + 123456us);
    CHECK(from_rfc3339("2024-06-07T12:00:00.9999999999999999999999Z") == noon + 999999us);
    CHECK(from_rfc3339("1950-01-01T00:00:00.1234567Z") == at(1950, 1, 1, 123456us));
    CHECK(from_rfc3339("0001-01-01T00:00:00Z") == at(1, 1, 1));
}

TEST_CASE("anything else is no time", "[rfc3339]") {
    const std::vector<const char*> not_whole{
        "", "Z", "2024", "2024-06-07", "2024-06-07T12:00:00", "2024-06-07T12:00Z", "infinity"};
    const std::vector<const char*> misspelt{
        "2024-06-07T12:00:00.Z",    "2024-06-07T12:00:00,5Z", "2024-06-07T12:00:00Zx",
        "2024-06-07T12:00:00 Z",    " 2024-06-07T12:00:00Z",  "2024-06-07T12:00:00+2:00",
        "2024-06-07T12:00:00+0200", "24-06-07T12:00:00Z",     "+2024-06-07T12:00:00Z",
        "2024-6-7T12:00:00Z",       "2024-06-07T1x:00:00Z",   "-024-06-07T12:00:00Z",
        "2024/06/07T12:00:00Z"};
    const std::vector<const char*> out_of_range{
        "2024-13-07T12:00:00Z", "2024-00-07T12:00:00Z", "2024-06-00T12:00:00Z",
        "2024-06-31T12:00:00Z", "2023-02-29T12:00:00Z", "2024-06-07T24:00:00Z",
        "2024-06-07T12:60:00Z", "2024-06-07T12:00:60Z", "2024-06-07T12:00:00+24:00"};
    for (const auto& texts : {not_whole, misspelt, out_of_range})
        for (const char* text : texts) {
            INFO(text);
            CHECK_FALSE(from_rfc3339(text).has_value());
        }
}
