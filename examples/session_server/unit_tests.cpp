// What of the server are pure functions, and what no client can bring about.
#include "log.hpp"
#include "problem.hpp"
#include "target.hpp"
#include <pgstate/error.hpp>

#include <boost/asio/error.hpp>
#include <boost/json/parse.hpp>

#include <catch2/catch_test_macros.hpp>
#include <spdlog/sinks/ostream_sink.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace session_server;
using pgstate::errc;

namespace {

problem problem_of_code(const boost::system::error_code& code, circumstances given = {}) {
    return problem_of(pgstate::error(code, "save", "host db-7 is down"), given);
}

} // namespace

TEST_CASE("each of the store's errors is a problem of its own") {
    struct expectation {
        errc code;
        unsigned status;
        std::string type;
    };
    const std::vector<expectation> expectations{{errc::invalid_argument, 400, "invalid-argument"},
                                                {errc::not_found, 404, "not-found"},
                                                {errc::conflict, 409, "conflict"},
                                                {errc::timed_out, 504, "timed-out"},
                                                {errc::pool_exhausted, 503, "pool-exhausted"},
                                                {errc::unavailable, 503, "unavailable"},
                                                {errc::outcome_unknown, 500, "outcome-unknown"},
                                                {errc::schema_mismatch, 500, "internal"},
                                                {errc::corrupt_state, 500, "corrupt-state"},
                                                {errc::closed, 503, "closed"},
                                                {errc::callback_failed, 500, "internal"},
                                                {errc::overloaded, 503, "overloaded"}};
    for (const auto& expected : expectations) {
        CAPTURE(expected.type);
        const auto made = problem_of_code(expected.code);
        CHECK(made.status == expected.status);
        CHECK(made.type == "urn:pgstate:problem:" + expected.type);
        // Only what clients can mend, and whether a write was sent, is told in the store's words.
        const bool told = made.detail.find("db-7") != std::string::npos;
        CHECK(told == (expected.status < 500 || expected.status == 504));
    }
}

TEST_CASE("a condition that fails is 412, and content that is refused 422") {
    CHECK(problem_of_code(errc::conflict, {.conditional = true}).status == 412);
    CHECK(problem_of_code(errc::not_found, {.conditional = true}).status == 412);
    CHECK(problem_of_code(errc::invalid_argument, {.has_content = true}).status == 422);
}

TEST_CASE("a conflict names the version that is there, if there is one") {
    pgstate::error failure(errc::conflict, "save", "another writer was first");
    const auto there = problem_of(failure.with_current_version(7), {});
    CHECK(there.current_version == 7);
    CHECK(there.headers == std::vector<std::pair<std::string, std::string>>{{"ETag", "\"7\""}});
    const auto missing = problem_of(failure.with_current_version(0), {});
    CHECK(missing.current_version == 0);
    CHECK(missing.headers.empty());
}

TEST_CASE("what the database refuses is 503 if it passes") {
    for (const auto* passing : {"08006", "25006", "40001", "53300", "57P03"})
        CHECK(problem_of(pgstate::error::from_server(passing, "save", "secret"), {}).status == 503);
    CHECK(problem_of(pgstate::error::from_server("57014", "save", "secret"), {}).status == 504);
    const auto lasting = problem_of(pgstate::error::from_server("42501", "save", "secret"), {});
    CHECK(lasting.status == 500);
    CHECK(lasting.detail.find("secret") == std::string::npos);
    CHECK(problem_of_code(boost::asio::error::operation_aborted).status == 503);
}

TEST_CASE("a problem says when to come back") {
    const auto answer = to_response(problem_of_code(errc::overloaded), "id-1");
    CHECK(std::count(answer.headers.begin(), answer.headers.end(),
                     std::pair<std::string, std::string>("Retry-After", "1")) == 1);
    const auto body = boost::json::parse(answer.body).as_object();
    CHECK(body.at("instance") == "urn:x-request-id:id-1");
    CHECK(body.at("title") == "Service Unavailable");
}

TEST_CASE("a record is a JSON object in one line, with plain numbers") {
    std::ostringstream written;
    const auto sink = std::make_shared<spdlog::sinks::ostream_sink_st>(written);
    sink->set_pattern("%v");
    json_logger log(std::make_shared<spdlog::logger>("test", sink));
    log.write(pgstate::log_level::debug, "not wanted");
    log.write(pgstate::log_level::warn, "two\nlines {} %v",
              {{"seconds", 0.000012},
               {"large", 1.5e20},
               {"half", 0.5},
               {"count", std::int64_t{-3}},
               {"flag", true},
               {"text", std::string_view("\"\u00e9\"\0", 5)},
               {"latin1", std::string_view("r\xF4le")}});
    const auto line = written.str();
    INFO(line);
    CHECK(std::count(line.begin(), line.end(), '\n') == 1);
    CHECK(
        line.find(
            "\"seconds\":0.000012,\"large\":150000000000000000000,\"half\":0.5,\"count\":-3,\"flag\":true,") !=
        line.npos);
    const auto members = boost::json::parse(line).as_object();
    CHECK(members.at("level") == "warn");
    CHECK(members.at("logger") == "test");
    CHECK(members.at("message") == "two\nlines {} %v");
    CHECK(members.at("text").as_string() == std::string_view("\"\u00e9\"\0", 5));
    CHECK(members.at("latin1") == "r?le");
    CHECK(members.contains("time"));
}

TEST_CASE("a target may be a whole URI, as proxies are sent") {
    const auto parsed = parse_target("http://[::1]:8080/agents/a%2Fb?limit=1");
    CHECK(parsed.segments == std::vector<std::string>{"agents", "a/b"});
    CHECK(parsed.query.at("limit") == "1");
    CHECK(parse_target("HTTPS://host").segments.empty());
    for (const auto* text :
         {"http:/a", "http:///a", "http://:80/a", "http://user@host/a", "http://host:99999/a", "ftp://host/a",
          "http://ho st/a", "http://host/a#b", "urn:/a", "host:80"}) {
        CAPTURE(text);
        CHECK_THROWS_AS(parse_target(text), http_error);
    }
}

TEST_CASE("a host is not empty, has no user, and a port that there can be") {
    for (const auto* text : {"a", "a.example:8080", "a:", "127.0.0.1", "[::1]:80", "xn--bcher-kva.example"}) {
        CAPTURE(text);
        CHECK(is_host(text));
    }
    for (const auto* text :
         {"", ":80", "a b", "a/b", "user@a", "a:b", "a:99999", "[::1", "http://a", "a, b", "\xC3\xBC"}) {
        CAPTURE(text);
        CHECK_FALSE(is_host(text));
    }
}

TEST_CASE("whatever is percent-encoded comes back") {
    std::string all;
    for (int byte = 0; byte < 256; ++byte)
        all += static_cast<char>(byte);
    const auto parsed = parse_target("/a/" + percent_encode(all) + "?b=" + percent_encode(all));
    CHECK(parsed.segments == std::vector<std::string>{"a", all});
    CHECK(parsed.query.at("b") == all);
    CHECK(parse_target("/?a=b+c&d&").query ==
          std::map<std::string, std::string, std::less<>>{{"a", "b c"}, {"d", ""}});
    for (const auto* text :
         {"", "*", "a", "/%", "/%1", "/%G0", "/?a=%1", "/?a=1&a=2", "/a b", "/\xC3\xBC", "/a#b"}) {
        CAPTURE(text);
        CHECK_THROWS_AS(parse_target(text), http_error);
    }
}
