#include "codec/codec.hpp"
#include "pgstate/detail/encoded_state.hpp"
#include "pgstate/rfc3339.hpp"
#include "support/run.hpp"
#include "support/states.hpp"

#include <boost/json/parse.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::errc;
using pgstate::timestamp;
using pgstate::codec::decode;
using pgstate::codec::encode;

namespace {

constexpr timestamp created{std::chrono::microseconds(1700000000000001)};
constexpr timestamp updated{std::chrono::microseconds(1700000000000002)};

agent_state load(const std::string& document) {
    return decode("a", "s", document, 7, created, updated);
}

pgstate::error document_refusal(const std::string& document) {
    return failure_of([&] { load(document); });
}

timestamp time_in(const boost::json::object& object, const char* name) {
    const auto when = pgstate::from_rfc3339(object.at(name).as_string().c_str());
    REQUIRE(when.has_value());
    return *when;
}

} // namespace

TEST_CASE("the document is the Go SDK's, member for member", "[codec]") {
    agent_state state("agent-1", "session-1");
    state.version = 3;
    state.data["n"] = 1;
    state.context["user"] = "john";
    state.history.emplace_back("user", "hi", created);
    state.history.emplace_back("tool", "x", created);
    state.history[1].metadata["k"] = "v";
    state.history[1].extra["id"] = 5;
    state.extra["tenant"] = "acme";
    state.created_at = created;

    const auto before = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    const auto document = encode(state);
    const auto after = std::chrono::system_clock::now();

    const std::string start =
        R"({"agent_id":"agent-1","session_id":"session-1","version":3,"data":{"n":1},"history":[)"
        R"({"role":"user","content":"hi","timestamp":"2023-11-14T22:13:20.000001Z"},)"
        R"({"role":"tool","content":"x","timestamp":"2023-11-14T22:13:20.000001Z","metadata":{"k":"v"},"id":5}],)"
        R"("context":{"user":"john"},"created_at":"2023-11-14T22:13:20.000001Z","updated_at":")";
    REQUIRE(document.starts_with(start));
    CHECK(document.ends_with(R"(Z","tenant":"acme"})"));
    const auto when = time_in(boost::json::parse(document).as_object(), "updated_at");
    CHECK(when >= before);
    CHECK(when <= after);
}

TEST_CASE("an empty state has every member of a document, and times of now", "[codec]") {
    const auto before = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    const auto document = encode(agent_state("a", "s"));
    const std::string start =
        R"({"agent_id":"a","session_id":"s","version":0,"data":{},"history":[],"context":{},"created_at":")";
    CHECK(document.starts_with(start));
    const auto object = boost::json::parse(document).as_object();
    CHECK(object.size() == 8);
    for (const char* name : {"created_at", "updated_at"})
        CHECK(time_in(object, name) >= before);
}

TEST_CASE("a message without a time gets that of its save, the others keep theirs", "[codec]") {
    agent_state state("a", "s");
    state.history = {{"user", "old", created}, {"user", "new"}};
    const auto before = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    for (const auto& history :
         {boost::json::parse(encode(state)).at("history"),
          boost::json::parse(pgstate::codec::encode_messages(state.history, "append").text)}) {
        CHECK(time_in(history.at(0).as_object(), "timestamp") == created);
        CHECK(time_in(history.at(1).as_object(), "timestamp") >= before);
        CHECK(time_in(history.at(1).as_object(), "timestamp") <= std::chrono::system_clock::now());
    }
    CHECK(state.history[1].timestamp == timestamp());
}

TEST_CASE("a document gives its state back, the columns first", "[codec]") {
    for (const bool moved : {false, true}) {
        auto expected = moved ? full_state("key agent", "key session") : full_state("a", "s");
        expected.version = moved ? 9 : 7;
        expected.created_at = moved ? updated : created;
        expected.updated_at = moved ? created : updated;
        CHECK(decode(expected.agent_id, expected.session_id, encode(full_state("a", "s")), expected.version,
                     expected.created_at, expected.updated_at) == expected);
    }
}

TEST_CASE("the order of members does not matter", "[codec]") {
    // As jsonb gives them back: shorter names first, and with spaces.
    const auto loaded =
        load(R"({"data": {"x": 1}, "extra1": [1], "context": {}, "history": [{"role": "user",)"
             R"( "content": "hi", "metadata": {"m": null}, "timestamp": "1970-01-01T00:00:00.25Z"}],)"
             R"( "version": 1, "agent_id": "z", "created_at": "1970-01-01T00:00:00Z",)"
             R"( "session_id": "z", "updated_at": "1970-01-01T00:00:00Z"})");
    CHECK(loaded.data.at("x") == 1);
    REQUIRE(loaded.history.size() == 1);
    CHECK(loaded.history[0].role == "user");
    CHECK(loaded.history[0].content == "hi");
    CHECK(loaded.history[0].timestamp == timestamp(std::chrono::milliseconds(250)));
    CHECK(loaded.history[0].metadata == boost::json::object{{"m", nullptr}});
    CHECK(loaded.extra == boost::json::object{{"extra1", {1}}});
}

TEST_CASE("absent members and Go's nulls are empty", "[codec]") {
    for (const char* document :
         {"{}", R"({"data":null,"history":null,"context":null})",
          R"({"agent_id":null,"session_id":null,"version":null,"created_at":null,"updated_at":null})",
          R"({"data":{"x":1},"data":null,"history":[{}],"history":null,"context":{"y":2},"context":null})"}) {
        INFO(document);
        CHECK(contents_of(load(document)) == agent_state("a", "s"));
    }
    const auto loaded =
        load(R"({"history":[{},{"role":null,"content":null,"timestamp":null,"metadata":null}]})");
    REQUIRE(loaded.history.size() == 2);
    CHECK(loaded.history[0] == pgstate::agent_message());
    CHECK(loaded.history[1] == pgstate::agent_message());
}

TEST_CASE("of a repeated member the last counts", "[codec]") {
    const auto loaded =
        load(R"({"data":{"x":1},"history":[{"role":"a","role":"b"},{}],"data":{"y":{"z":1,"z":2}},)"
             R"("history":[{"role":"c"}],"more":1,"more":2})");
    CHECK(loaded.data == boost::json::object{{"y", {{"z", 2}}}});
    REQUIRE(loaded.history.size() == 1);
    CHECK(loaded.history[0].role == "c");
    CHECK(loaded.extra == boost::json::object{{"more", 2}});
}

TEST_CASE("unknown members of every type are kept and written back", "[codec]") {
    const char* members = R"("s":"x\n","i":-1,"u":18446744073709551615,"d":1.5,"t":true,"f":false,"n":null,)"
                          R"("a":[1,[2,{"k":[]}]],"o":{"p":{"q":{}}},"":0,"rôle":"e\u0301","Data":1)";
    const auto loaded = load(std::string("{") + members +
                             R"(,"history":[{"timestamp":"2030-01-01T00:00:00Z",)" + members + "}]}");
    const auto expected = boost::json::parse(std::string("{") + members + "}").as_object();
    CHECK(loaded.extra == expected);
    REQUIRE(loaded.history.size() == 1);
    CHECK(loaded.history[0].extra == expected);
    CHECK(contents_of(load(encode(loaded))) == contents_of(loaded));
}

TEST_CASE("names and texts with escapes are read whole", "[codec]") {
    const auto loaded = load(R"({"d\u0061ta":{"\u0041":"\u00e9\ud83e\udd16\/\b\f\n\r\t\"\\"},)"
                             R"("history":[{"r\u006fle":"\u0075ser","\u00fc":1}],"e\u0078tra":{"a":1}})");
    CHECK(loaded.data.at("A") == "é🤖/\b\f\n\r\t\"\\");
    CHECK(loaded.history.at(0).role == "user");
    CHECK(loaded.history.at(0).extra == boost::json::object{{"ü", 1}});
    CHECK(loaded.extra.at("extra").at("a") == 1);
}

TEST_CASE("the shortest escapes are written", "[codec]") {
    agent_state state("a", "s");
    state.data["x"] = "\b\f\n\r\t\"\\/\x01\x1f\x7f é";
    CHECK(encode(state).find(R"({"x":"\b\f\n\r\t\"\\/\u0001\u001f)"
                             "\x7f é\"}") != std::string::npos);
}

TEST_CASE("a document that is no state is corrupt, and its error says where", "[codec]") {
    struct corrupt {
        std::string place;
        std::vector<std::string> documents;
    };
    for (const auto& [place, documents] : std::vector<corrupt>{
             {"document",
              {"", "null", "5", "\"secret\"", "[]", "{", "{} {}", "{\"data\":{}",
               "{\"data\":{\"x\":\"\\ud800\"}}"}},
             {"data",
              {R"({"data":[]})", R"({"data":"secret"})", R"({"data":1})", R"({"data":1.5})",
               R"({"data":true})"}},
             {"context", {R"({"context":[1]})", R"({"context":"secret"})"}},
             {"history", {R"({"history":{}})", R"({"history":"secret"})", R"({"history":7})"}},
             {"history[1]", {R"({"history":[{},"secret"]})"}},
             {"history[0]", {R"({"history":[null]})", R"({"history":[[]]})", R"({"history":[1]})"}},
             {"history[0].role", {R"({"history":[{"role":1}]})", R"({"history":[{"role":{}}]})"}},
             {"history[1].content", {R"({"history":[{},{"content":["secret"]}]})"}},
             {"history[0].content", {R"({"history":[{"content":false}]})"}},
             {"history[0].timestamp",
              {R"({"history":[{"timestamp":"secret"}]})", R"({"history":[{"timestamp":1700000000}]})"}},
             {"history[0].metadata",
              {R"({"history":[{"metadata":[]}]})", R"({"history":[{"metadata":"secret"}]})"}},
             {"version", {R"({"version":"secret"})", R"({"version":1.5})", R"({"version":{}})"}},
             {"agent_id", {R"({"agent_id":1})"}},
             {"session_id", {R"({"session_id":["secret"]})"}},
             {"created_at", {R"({"created_at":"secret"})"}},
             {"updated_at", {R"({"updated_at":0})"}},
         })
        for (const auto& document : documents) {
            INFO(document);
            const auto error = document_refusal(document);
            INFO(error.what());
            CHECK(error == errc::corrupt_state);
            CHECK(error.operation() == "load");
            CHECK(names(error, "agent \"a\""));
            CHECK(names(error, "session \"s\""));
            CHECK(names(error, place + " "));
            CHECK_FALSE(names(error, "secret"));
        }
}

TEST_CASE("an error about a row shows its key in one line", "[codec]") {
    const auto error = failure_of([] { decode("a\n\"b\"", "s\x1b[0m", "5", 1, {}, {}); });
    CHECK(names(error, R"("a?\"b\"")"));
    CHECK(names(error, R"("s?[0m")"));
}

TEST_CASE("nesting has one limit for saving and loading", "[codec]") {
    agent_state state("a", "s");
    state.history.emplace_back("user", "", created);
    // The document, history, the message and its metadata are four levels, data and extra two and one.
    state.history[0].metadata["x"] = nested(508);
    state.history[0].extra["x"] = nested(509);
    state.data["x"] = nested(510);
    state.extra["x"] = nested(511);
    const auto document = encode(state);
    CHECK(contents_of(load(document)) == contents_of(state));

    for (const auto deepen : {+[](agent_state& s) { s.history[0].metadata["x"] = nested(509); },
                              +[](agent_state& s) { s.history[0].extra["x"] = nested(510); },
                              +[](agent_state& s) { s.data["x"] = nested(511); },
                              +[](agent_state& s) { s.context["x"] = nested(511); },
                              +[](agent_state& s) { s.extra["x"] = nested(512); }}) {
        auto deeper = state;
        deepen(deeper);
        const auto error = failure_of([&] { encode(deeper); });
        CHECK(error == errc::invalid_argument);
        CHECK(names(error, "512"));
    }
    const auto too_deep = document_refusal("{\"x\":" + std::string(600, '[') + std::string(600, ']') + "}");
    CHECK(too_deep == errc::corrupt_state);
    CHECK(names(too_deep, "512"));
}

TEST_CASE("a state that is refused is kept as a failure", "[codec]") {
    agent_state state("a", "s");
    state.version = 5;
    const pgstate::detail::encoded_state good(state);
    CHECK_FALSE(good.failure);
    CHECK(good.agent_id == "a");
    CHECK(good.session_id == "s");
    CHECK(good.version == 5);
    CHECK(contents_of(load(good.document)) == contents_of(state));

    state.data["x"] = "\xff";
    const pgstate::detail::encoded_state bad(state);
    REQUIRE(bad.failure.has_value());
    const auto& error = *bad.failure;
    CHECK(error == errc::invalid_argument);
    CHECK(error.operation() == "save");
    CHECK(pgstate::detail::encoded_state(agent_state("", "s")).failure);
}

TEST_CASE("what is too long for PostgreSQL is refused before it is sent, with its size and the limit",
          "[codec]") {
    using namespace pgstate::codec;
    CHECK_NOTHROW(check_document_size(max_document_bytes, "save"));
    const auto document = failure_of([] { check_document_size(max_document_bytes + 1, "merge"); });
    CHECK(document == errc::invalid_argument);
    CHECK(document.operation() == "merge");
    CHECK(names(document, "1073676288 bytes"));
    CHECK(names(document, "at most 1073676287"));

    agent_state state("a", "s");
    state.history.emplace_back("user", std::string(max_string_bytes + 1, 'x'));
    const auto text = failure_of([&] { encode(state); });
    CHECK(text == errc::invalid_argument);
    CHECK(names(text, "history[0].content is a string of 268435456 bytes"));
    CHECK(names(text, "at most 268435455"));
}
