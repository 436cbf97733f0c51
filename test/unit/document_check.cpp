#include "pgstate/detail/document_check.hpp"

#include "codec/codec.hpp"
#include "pgstate/error.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>

using pgstate::detail::document_check;

namespace {

/// Why decode() refuses it; empty: it does not.
std::string refusal_of(const std::string& json) {
    try {
        pgstate::codec::decode("a", "s", json, 1, {}, {});
        return {};
    } catch (const pgstate::error& e) {
        const std::string what = e.what();
        constexpr std::string_view before = "cannot be read: ";
        return what.substr(what.find(before) + before.size());
    }
}

} // namespace

TEST_CASE("a document is judged as a load would judge it, without being built", "[codec]") {
    for (
        const std::string json :
        {R"({})",
         R"({"data":{"x":[1,{"y":"\u00e9\n"}]},"history":[{"role":"u","content":"a\tb","metadata":{"k":[]}},{}]})",
         R"({"data":null,"history":null,"agent_id":"a","version":7,"created_at":"2030-01-01T00:00:00Z"})",
         R"({"history":[{"role":"u"},{"role":null,"timestamp":null}],"history":null,"own":[{}],"more":"\n"})",
         R"([1])",
         R"(7)",
         R"({"data":[1]})",
         R"({"data":7})",
         R"({"context":"x"})",
         R"({"history":{}})",
         R"({"history":[{},"x"]})",
         R"({"history":[{},{"role":7}]})",
         R"({"history":[{"content":{}}]})",
         R"({"history":[{"timestamp":"soon"}]})",
         R"({"history":[{"metadata":[]}]})",
         R"({"version":"x"})",
         R"({"version":1.5})",
         R"({"version":123456789012345678901})",
         R"({"data":{"x":1e999}})",
         R"({"data":{"x":0.12345678901234567890123456789}})",
         R"({"created_at":7})",
         R"({"created_at":"1\n"})",
         R"({"agent_id":7})"}) {
        CAPTURE(json);
        const document_check check(json);
        CHECK(check.is_json);
        CHECK(check.refusal == refusal_of(json));
        CHECK_FALSE(check.row.expires_at);
    }
    const auto deep = R"({"data":)" + std::string(600, '[');
    CHECK(document_check(deep).refusal == refusal_of(deep));
}

TEST_CASE("what is too long for jsonb is refused before it is sent", "[codec]") {
    std::string json = R"({"data":{"x":")" + std::string(pgstate::codec::max_string_bytes, 'x') + R"("}})";
    CHECK(document_check(json).refusal.empty());
    json.insert(json.size() - 3, "y");
    CHECK(document_check(json).refusal ==
          "data holds a string of 268435456 bytes; jsonb holds at most 268435455");
}

TEST_CASE("what is no JSON is told apart, with where it goes wrong", "[codec]") {
    for (const std::string json : {"", "{", R"({"data":{"x":1})"}) {
        CAPTURE(json);
        const document_check check(json);
        CHECK_FALSE(check.is_json);
        CHECK(check.read == json.size());
        CHECK(check.refusal.empty());
    }
    const document_check check(R"({"data": tru, "x": 1})");
    CHECK_FALSE(check.is_json);
    CHECK(check.read == 9);
    CHECK_FALSE(document_check("{}{}").is_json);
}

TEST_CASE("the expiry among the members of a document is read", "[codec]") {
    const auto expiry = [](const std::string& value, const std::string& around = "") {
        return document_check("{" + around + "\"expires_at\":" + value + "}");
    };
    using namespace std::chrono_literals;
    const pgstate::timestamp new_year = std::chrono::sys_days(2030y / 1 / 1);
    CHECK(expiry(R"("2030-01-01T00:00:00Z")").row.expires_at == new_year);
    CHECK(expiry(R"("2030-01-01T01:00:00+01:00")", R"("data":{"expires_at":[]},)").row.expires_at ==
          new_year);
    CHECK_FALSE(expiry("null").row.expires_at);
    CHECK(expiry("null").refusal.empty());
    CHECK(expiry(R"("2030-01-01T00:00:00")").refusal == "expires_at is no RFC 3339 time");
    CHECK(expiry("7").refusal == "expires_at is a number");
    CHECK(expiry("true").refusal == "expires_at is a boolean");
    CHECK(expiry("{}").refusal == "expires_at is no text");
    CHECK(expiry("[]").refusal == "expires_at is no text");
}
