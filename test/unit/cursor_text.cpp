#include "codec/cursor.hpp"
#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <limits>
#include <set>
#include <string>

using namespace pgstate_test;
using pgstate::errc;
using pgstate::timestamp;
using pgstate::codec::decode_cursor;
using pgstate::codec::encode_cursor;
using pgstate::codec::page_position;
using pgstate::codec::query_kind;
using std::chrono::microseconds;

namespace {

pgstate::error refusal(query_kind kind, const std::string& agent, const std::string& text) {
    return failure_of([&] { decode_cursor(kind, agent, text, "list"); });
}

} // namespace

TEST_CASE("a cursor gives its position back", "[cursor]") {
    for (const std::string& session :
         {std::string("s"), std::string("session-12"), std::string("séance 日本 🤖"),
          std::string(pgstate::max_key_bytes - 7, 'x')}) {
        for (const auto micros :
             {std::int64_t{0}, std::int64_t{1717761600123456}, std::int64_t{-1},
              std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
            const page_position position{timestamp(microseconds(micros)), "agent 7", session};
            const auto text = encode_cursor(query_kind::list, "agent", position);
            CHECK(decode_cursor(query_kind::list, "agent", text, "list") == position);
            CHECK(
                text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
                std::string::npos);
        }
    }
}

TEST_CASE("any change to a cursor is noticed", "[cursor]") {
    for (const std::string session : {"s", "se", "ses", "sess"}) { // every length of the last group
        const auto good = encode_cursor(query_kind::list, "agent",
                                        {timestamp(microseconds(1717761600123456)), {}, session});
        std::set<std::string> changed;
        for (std::size_t i = 0; i < good.size(); ++i) {
            for (const char c : {'A', 'B', 'Q', 'g', '-', '_', '=', '+', '/', ' ', '\0', '\xff'}) {
                std::string text = good;
                text[i] = c;
                changed.insert(text);
            }
            changed.insert(good.substr(0, i));
            changed.insert(good.substr(0, i) + 'A' + good.substr(i));
        }
        changed.insert({good + "A", good + "=", good + good});
        changed.erase(good);
        for (const auto& text : changed) {
            INFO(text);
            const auto error = refusal(query_kind::list, "agent", text);
            REQUIRE(error == errc::invalid_argument);
            REQUIRE(error.operation() == "list");
            REQUIRE(names(error, "cursor"));
        }
    }
}

TEST_CASE("a cursor is good for its agent and its kind of query only", "[cursor]") {
    const auto text = encode_cursor(query_kind::list, "agent", {timestamp(microseconds(1)), {}, "s"});
    CHECK(names(refusal(query_kind::list, "agent2", text), "another agent"));
    CHECK(names(refusal(query_kind::find, "agent", text), "another kind"));
}

TEST_CASE("a cursor never carries what the server would refuse", "[cursor]") {
    // With a right checksum, as only a forger could make it.
    for (const std::string& session : {std::string("a\0b", 3), std::string("\xff"), std::string(3000, 'x')}) {
        const auto text = encode_cursor(query_kind::list, "agent", {timestamp{}, {}, session});
        CHECK(refusal(query_kind::list, "agent", text) == errc::invalid_argument);
    }
}
