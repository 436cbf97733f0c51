#include "pgstate/error.hpp"
#include "store/jsonpath.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <string>
#include <string_view>

using pgstate::store::jsonpath;
using pgstate::store::jsonpath_fault;

namespace {

struct expected_fault {
    const char* path;
    std::size_t character;
    const char* message;
};

std::string repeated(std::string_view text, std::size_t count) {
    std::string result;
    for (std::size_t i = 0; i < count; ++i)
        result += text;
    return result;
}

bool is_path(const std::string& text) {
    return !jsonpath::first_fault(text);
}

} // namespace

TEST_CASE("a path's first fault is named with its place", "[jsonpath]") {
    const expected_fault faults[] = {
        {"", 1, "expected $, @, a literal"},
        {"$.", 3, "expected a key"},
        {"$.a ==", 7, "expected $, @, a literal"},
        {"$.a = 1", 5, "expected an operator, an accessor or the end"},
        {"$.a == 1 && $.b", 16, "expected a predicate after &&"},
        {"$ ? (@.a)", 9, "expected a comparison"},
        {"@.a == 1", 1, "expected something else than @"},
        {"$[last] == last", 12, "expected something else than last"},
        {"$.\"a", 3, "expected an end of the quoted string"},
        {"$.\"\xC3\xA9\" = 1", 7, "expected an operator"},
        {"$.a like_regex \"(\"", 16, "expected a pattern with a ')'"},
        {"$.a like_regex \"a\" flag \"y\"", 25, "expected only the flags"},
        {"$.\\u12", 3, "expected four hexadecimal digits"},
        {"1e200000 == 1", 1, "expected a number"},
        {"$.**{x}", 6, "expected a level"},
        {"(1 == 1) + 1", 10, "expected an accessor after a predicate"},
        {"/* a", 1, "expected an end of the comment"},
    };
    for (const auto& [path, character, message] : faults) {
        CAPTURE(path);
        const auto fault = jsonpath::first_fault(path);
        REQUIRE(fault.has_value());
        CHECK(fault->what == jsonpath_fault::kind::syntax);
        CHECK(fault->character == character);
        CHECK(fault->message.starts_with("at character " + std::to_string(character) + ": " + message));
    }
}

TEST_CASE("a path is refused with the operation and the place, and none of its literals", "[jsonpath]") {
    try {
        jsonpath::parse("$.secret == \"hidden\" oops", "find");
        FAIL("it should have been refused");
    } catch (const pgstate::error& refusal) {
        CHECK(refusal == pgstate::errc::invalid_argument);
        const std::string what = refusal.what();
        CHECK(what == "find: jsonpath: at character 22: expected an operator, an accessor or the end");
    }
}

TEST_CASE("a variable is refused where it stands", "[jsonpath]") {
    const auto fault = jsonpath::first_fault("$.a == $wanted");
    REQUIRE(fault.has_value());
    CHECK(fault->what == jsonpath_fault::kind::variable);
    CHECK(fault->character == 8);
    CHECK(jsonpath::first_fault("$x ==")->what == jsonpath_fault::kind::syntax);
}

TEST_CASE("NUL and what is not UTF-8 are refused", "[jsonpath]") {
    using namespace std::string_literals;
    CHECK(jsonpath::first_fault("$.a\0"s)->message.find("NUL") != std::string::npos);
    CHECK(jsonpath::first_fault("$.\xFF")->message.find("UTF-8") != std::string::npos);
}

TEST_CASE("what later versions of the server know is parsed", "[jsonpath]") {
    for (const char* path :
         {"0x1F == 31",       "0o17 == 15",   "0b101 == 5",    "1_000 == 1000",     "1_0.0_1e1_0 == 1",
          "$.bigint() == 1",  "$.boolean()",  "$.date()",      "$.decimal()",       "$.decimal(4)",
          "$.decimal(4, -2)", "$.integer()",  "$.number()",    "$.string()",        "$.time()",
          "$.time(3)",        "$.time_tz(3)", "$.timestamp()", "$.timestamp_tz(6)", "$.datetime(\"HH24\")",
          "$.date == 1"}) {
        CAPTURE(path);
        CHECK(is_path(path));
    }
    CHECK_FALSE(is_path("$.decimal(1, 2, 3)"));
    CHECK_FALSE(is_path("$.date(1)"));
}

TEST_CASE("a path that is nested too deep is refused, one that is only long is not", "[jsonpath]") {
    for (const std::size_t depth : {201UL, 100'000UL}) {
        for (const auto& path :
             {repeated("(", depth) + "1" + repeated(")", depth) + " == 1", repeated("-", depth) + "1 == 1",
              "$" + repeated("[$", depth) + repeated("]", depth), "$" + repeated(" ? (@", depth),
              repeated("!(", depth), repeated("exists(", depth), "$" + repeated(".a", depth),
              "1" + repeated(" + 1", depth), "1" + repeated("*1", depth)}) {
            const auto fault = jsonpath::first_fault(path);
            REQUIRE(fault.has_value());
            CHECK((fault->what == jsonpath_fault::kind::too_deep || path.starts_with("$ ?") ||
                   path.starts_with("exists")));
        }
    }
    CHECK(is_path(repeated("(", 200) + "1" + repeated(")", 200) + " == 1"));
    CHECK(is_path("$" + repeated(".a", 200)));
    CHECK(is_path("1 == 1" + repeated(" || 1 == 1 && 2 == 2", 20'000)));
    CHECK(is_path("$.\"" + repeated("a", 1'000'000) + "\" == 1"));
}

TEST_CASE("parentheses take no more than linear time", "[jsonpath]") {
    // Reading "(" twice, once for each kind of expression, would take 2^200 steps.
    CHECK(is_path(repeated("(", 199) + "1 == 1" + repeated(")", 199)));
    CHECK_FALSE(is_path(repeated("(", 199) + "1 == 1" + repeated(")", 198)));
}
