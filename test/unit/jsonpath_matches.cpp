#include "pgstate/error.hpp"
#include "store/jsonpath.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <string>
#include <string_view>

using pgstate::store::jsonpath;
namespace json = boost::json;

namespace {

using truth = jsonpath::truth;

truth match(const json::value& document, std::string_view path) {
    return jsonpath::parse(path, "find").matches(document, "find");
}

truth match_text(std::string_view document, std::string_view path) {
    return match(json::parse(document), path);
}

/// What the evaluation is refused with; empty if it is not.
std::string refusal(const json::value& document, std::string_view path) {
    const auto parsed = jsonpath::parse(path, "find");
    try {
        parsed.matches(document, "find");
    } catch (const pgstate::error& failure) {
        CHECK(failure == pgstate::errc::invalid_argument);
        return failure.what();
    }
    return {};
}

json::value deep(std::size_t levels, json::value inside) {
    for (; levels > 0; --levels) {
        json::object around;
        around["a"] = std::move(inside);
        inside = std::move(around);
    }
    return inside;
}

} // namespace

// That the answers are the server's is tested with one: test/integration/jsonpath_agrees.cpp.

TEST_CASE("a path is true, false or unknown of a document", "[jsonpath]") {
    const auto* document = R"({"data": {"score": 7, "tags": ["a", "b"]}})";
    CHECK(match_text(document, "$.data.score > 5") == truth::yes);
    CHECK(match_text(document, "$.data.score > 7") == truth::no);
    CHECK(match_text(document, "$.data.score > \"7\"") == truth::unknown);
    CHECK(match_text(document, "$.data.tags == \"b\"") == truth::yes);
    CHECK(match_text(document, "$.data.missing == 1") == truth::no);
    CHECK(match_text(document, "strict $.data.missing == 1") == truth::unknown);
    CHECK(match_text(document, "exists($.data.tags[*] ? (@ starts with \"b\"))") == truth::yes);
    CHECK(match_text(document, "$.data.score") == truth::unknown);
    CHECK(match_text(R"({"a": true})", "$.a") == truth::yes);
    CHECK(match_text("[true, false]", "$[*]") == truth::unknown);
}

TEST_CASE("numbers are exact decimals", "[jsonpath]") {
    CHECK(match_text(R"({"a": 0.1, "b": 0.2})", "$.a + $.b == 0.3") == truth::yes);
    CHECK(match(9007199254740993, "$ == 9007199254740993") == truth::yes);
    CHECK(match(0x1p53, "$ == 9007199254740993") == truth::no);
    CHECK(match(1.0, "$ == 1") == truth::yes);
}

TEST_CASE("a copy of a path is the path", "[jsonpath]") {
    auto path = jsonpath::parse("$.a == 1", "find");
    const auto copy = path;
    path = jsonpath::parse("$.a == 2", "find");
    CHECK(copy.matches(json::parse(R"({"a": 1})"), "find") == truth::yes);
    CHECK(path.matches(json::parse(R"({"a": 1})"), "find") == truth::no);
}

TEST_CASE("what is not evaluated is refused by name and place, whatever the document is", "[jsonpath]") {
    struct {
        const char* path;
        const char* message;
    } const refused[] = {
        {"$.a.datetime() == 1", "at character 5: the method .datetime()"},
        {"exists($.a ? (@.bigint() == 1))", "at character 17: the method .bigint()"},
        {"$ like_regex \"(a)\\\\1\"", "at character 14: like_regex with a back reference"},
        {"$ like_regex \"(?=a)\"", "like_regex with a lookahead"},
        {"$ like_regex \"(?x)a b\"", "like_regex with another syntax"},
        {"$ like_regex \"\xC3\xA9\" flag \"i\"", "like_regex with the case of characters"},
        {"$ like_regex \"((a{255}){255}){255}\"", "like_regex with so large a pattern"},
        {"$ like_regex \"((((){255}){255}){255}){255}\"", "like_regex with so large a pattern"},
        {"1e6000 == 1", "at character 1: a number of more than 5000 digits"},
    };
    for (const auto& [path, message] : refused) {
        CAPTURE(path);
        const auto what = refusal(nullptr, path);
        CAPTURE(what);
        CHECK(what.starts_with("find: jsonpath: "));
        CHECK(what.find(message) != std::string::npos);
        CHECK(what.ends_with(" is not evaluated by a memory_store; PostgreSQL does"));
        CHECK_THROWS_AS(jsonpath::parse(path, "find").check_evaluated("find"), pgstate::error);
    }
}

TEST_CASE("where only the document leads to what is not evaluated, it is refused there", "[jsonpath]") {
    const auto wanted = [](const json::value& document, std::string_view path, std::string_view message) {
        CAPTURE(path);
        CHECK_NOTHROW(jsonpath::parse(path, "find").check_evaluated("find"));
        CHECK(refusal(document, path).find(message) != std::string::npos);
    };
    wanted(json::parse(R"({"a": 1})"), "$.keyvalue().id == 0", "the id that .keyvalue() gives");
    wanted("\xC3\xA9", "$ like_regex \"\\\\w\"", "a class of characters beyond ASCII");
    wanted(1e308, "exists($ ? (@*@*@*@*@*@*@*@*@*@*@*@*@*@*@*@*@ > 1))", "a result of more than 5000 digits");
    CHECK(match("e", "$ like_regex \"\\\\w\"") == truth::yes);
    CHECK(match(json::object(), "$.keyvalue().id == 0") == truth::no);
}

TEST_CASE("an evaluation ends, whatever the path and the document are", "[jsonpath]") {
    const auto document = deep(500, 1);
    CHECK(match(document, "$.** == 1") == truth::yes);
    CHECK(match(document, "exists($.**.a ? (@ == 1))") == truth::yes);
    CHECK(refusal(document, "$.**.**.**.** == 2").find("steps") != std::string::npos);
    CHECK(
        refusal(document,
                "exists($.** ? (exists($.** ? (exists($.** ? (exists($.** ? (exists($.** ? (@ == 2))))))))))")
            .find("steps") != std::string::npos);

    json::array many(10'000, json::value(1));
    CHECK(refusal(many, "$[*] == $[*] + 1").empty());
    CHECK(refusal(many, "strict $[*] == $[*]").find("steps") != std::string::npos);
}

TEST_CASE("a pattern's time grows with the text's length only", "[jsonpath]") {
    const std::string text(20'000, 'a');
    CHECK(match(json::string(text), "$ like_regex \"^(a*)*b\"") == truth::no);
    CHECK(match(json::string(text), "$ like_regex \"(a|aa)+$\"") == truth::yes);
    CHECK(match(json::string(text + text + text), "$ like_regex \"^.*$\"") == truth::yes);
}
