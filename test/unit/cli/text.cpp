#include "cli/text.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>

using namespace pgstate;
using namespace pgstate::cli;
using namespace std::chrono_literals;

TEST_CASE("JSON is laid out without touching its tokens", "[cli]") {
    const std::string spread =
        " {\"a b\" : [ 1.50, -0e1 ,\"x, \\\"y\\\\\" ] ,\n\"c\":{ } , \"d\": [ ], \"e\":null} ";
    std::string compact = ">";
    append_compact(compact, spread);
    CHECK(compact == R"(>{"a b":[1.50,-0e1,"x, \"y\\"],"c":{},"d":[],"e":null})");
    CHECK(pretty(spread, false) == "{\n"
                                   "  \"a b\": [\n"
                                   "    1.50,\n"
                                   "    -0e1,\n"
                                   "    \"x, \\\"y\\\\\"\n"
                                   "  ],\n"
                                   "  \"c\": {},\n"
                                   "  \"d\": [],\n"
                                   "  \"e\": null\n"
                                   "}");
    CHECK(pretty(R"({"a":"b"})", true) == "{\n  \x1b[36m\"a\"\x1b[0m: \x1b[32m\"b\"\x1b[0m\n}");
    CHECK(pretty("{}", false) == "{}");
}

TEST_CASE("a member of an object gets another value", "[cli]") {
    const auto with = [](std::string_view members) {
        std::string out = "{";
        append_members(out, members, "history", R"([ {"a": 1} ])");
        return out;
    };
    CHECK(with(R"("history": "rows"})") == R"({"history":[{"a":1}]})");
    CHECK(with(R"("a": "history", "history": "rows", "z": 1.50})") ==
          R"({"a":"history","history":[{"a":1}],"z":1.50})");
    CHECK(with(R"("data": {"history": "rows"}, "list": ["history", "rows"], "hist\"ory": "history"})") ==
          R"({"data":{"history":"rows"},"list":["history","rows"],"hist\"ory":"history"})");
    CHECK(with("}") == "{}");
}

TEST_CASE("durations have a unit, or are seconds", "[cli]") {
    CHECK(parse_duration("500ms") == 500ms);
    CHECK(parse_duration("90") == 90s);
    CHECK(parse_duration("90s") == 90s);
    CHECK(parse_duration("5m") == 5min);
    CHECK(parse_duration("12h") == 12h);
    CHECK(parse_duration("30d") == 720h);
    for (const auto* wrong :
         {"", "s", "-1s", "1 s", "1w", "1.5h", "9223372036854775807d", "99999999999999999999"})
        CHECK(!parse_duration(wrong));
}

TEST_CASE("what is printed can neither break a line nor command a terminal", "[cli]") {
    CHECK(printable("Grüße 世界") == "Grüße 世界");
    CHECK(printable("a\tb\nc\\d") == "a\\tb\\nc\\\\d");
    CHECK(printable("\x1b[31m\x7f") == "\\x1b[31m\\x7f");
}

TEST_CASE("numbers as people read them", "[cli]") {
    CHECK(grouped(0) == "0");
    CHECK(grouped(999) == "999");
    CHECK(grouped(1'000) == "1,000");
    CHECK(grouped(-1'234'567) == "-1,234,567");
    CHECK(grouped(-123) == "-123");
}
