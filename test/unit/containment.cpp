#include "memory/containment.hpp"

#include <boost/json/parse.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <limits>

using pgstate::memory::contains;
namespace json = boost::json;

namespace {

bool contains_text(const char* whole, const char* part) {
    return contains(json::parse(whole), json::parse(part));
}

} // namespace

TEST_CASE("an object contains what has some of its members", "[containment]") {
    CHECK(contains_text(R"({"a": 1, "b": {"c": 2, "d": 3}})", R"({"b": {"c": 2}})"));
    CHECK(contains_text(R"({"a": 1})", "{}"));
    CHECK(contains_text("{}", "{}"));
    CHECK_FALSE(contains_text(R"({"a": 1})", R"({"a": 2})"));
    CHECK_FALSE(contains_text(R"({"a": 1})", R"({"b": 1})"));
    CHECK_FALSE(contains_text(R"({"a": {"b": 1}})", R"({"b": 1})"));
    CHECK_FALSE(contains_text(R"({"a": null})", R"({"a": {}})"));
    CHECK_FALSE(contains_text("{}", "[]"));
    CHECK_FALSE(contains_text("{}", "null"));
}

TEST_CASE("an array contains its elements in any order and number", "[containment]") {
    CHECK(contains_text("[1, 2, 3]", "[3, 1]"));
    CHECK(contains_text("[1, 2]", "[1, 1, 1]"));
    CHECK(contains_text("[[1, 2], [3]]", "[[2]]"));
    CHECK(contains_text(R"([{"a": 1, "b": 2}])", R"([{"a": 1}, {"b": 2}])"));
    CHECK_FALSE(contains_text("[[1, 2]]", "[1]"));
    CHECK_FALSE(contains_text("[1, 2]", "[1, 4]"));
}

TEST_CASE("only the outermost array contains a primitive", "[containment]") {
    CHECK(contains_text(R"(["a", "b"])", R"("a")"));
    CHECK_FALSE(contains_text(R"("a")", R"(["a"])"));
    CHECK_FALSE(contains_text(R"({"x": ["a"]})", R"({"x": "a"})"));
    CHECK_FALSE(contains_text(R"([["a"]])", R"("a")"));
    CHECK(contains_text("null", "null"));
    CHECK_FALSE(contains_text("null", "false"));
}

TEST_CASE("numbers are contained by their value", "[containment]") {
    CHECK(contains(1, 1.0));
    CHECK(contains(std::uint64_t{1}, 1));
    CHECK(contains(-0.0, 0));
    CHECK(contains(0x1p53, 9007199254740992));
    CHECK_FALSE(contains(0x1p53, 9007199254740993));
    CHECK_FALSE(contains(std::numeric_limits<std::int64_t>::max(), 0x1p63));
    CHECK(contains(std::numeric_limits<std::int64_t>::min(), -0x1p63));
    CHECK(contains(std::uint64_t{1} << 63, 0x1p63));
    CHECK_FALSE(contains(std::numeric_limits<std::uint64_t>::max(), 0x1p64));
    CHECK_FALSE(contains(std::numeric_limits<std::uint64_t>::max(), -1));
    CHECK_FALSE(contains(1, 1.5));
    CHECK_FALSE(contains(1, "1"));
    CHECK_FALSE(contains(1, true));
}
