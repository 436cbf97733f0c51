#include "config/table_identifier.hpp"
#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

using pgstate::settings::parse_table_name;
using pgstate::settings::table_identifier;

std::string table_refusal(std::string_view text) {
    const auto failure = pgstate_test::failure_of([&] { parse_table_name(text); });
    CHECK(failure == pgstate::errc::invalid_argument);
    return failure.what();
}

const std::string longest(63, 'x');

/// `written` between double quotes.
std::string quoted(const std::string& written) {
    return "\"" + written + "\"";
}

} // namespace

TEST_CASE("table names are read to the letter and quoted", "[config]") {
    struct readable {
        std::string text;
        table_identifier table;
        std::string quoted;
    };
    for (const auto& one : std::vector<readable>{
             {"agent_states", {"", "agent_states"}, R"("agent_states")"},
             {"app.agent_states", {"app", "agent_states"}, R"("app"."agent_states")"},
             {"App.AgentStates", {"App", "AgentStates"}, R"("App"."AgentStates")"},
             {R"("app".agent_states)", {"app", "agent_states"}, R"("app"."agent_states")"},
             {R"(app."agent.states")", {"app", "agent.states"}, R"("app"."agent.states")"},
             {R"("a.b"."c.d")", {"a.b", "c.d"}, R"("a.b"."c.d")"},
             {R"("a""b")", {"", "a\"b"}, R"("a""b")"},
             {R"("""")", {"", "\""}, R"("""")"},
             {R"("x""; DROP TABLE y; --")", {"", "x\"; DROP TABLE y; --"}, R"("x""; DROP TABLE y; --")"},
             {"x; DROP TABLE y; --", {"", "x; DROP TABLE y; --"}, R"("x; DROP TABLE y; --")"},
             {"it's $1 a\\b", {"", "it's $1 a\\b"}, R"("it's $1 a\b")"},
             {" a . b ", {" a ", " b "}, R"(" a "." b ")"},
             {"zust\xC3\xA4nde", {"", "zust\xC3\xA4nde"}, "\"zust\xC3\xA4nde\""},
             {"\xF0\x9F\xA4\x96.\xE2\x82\xAC",
              {"\xF0\x9F\xA4\x96", "\xE2\x82\xAC"},
              "\"\xF0\x9F\xA4\x96\".\"\xE2\x82\xAC\""},
             {longest + ".x", {longest, "x"}, quoted(longest) + R"(."x")"},
             {"x." + longest, {"x", longest}, R"("x".)" + quoted(longest)},
             // The limit counts the name itself, not the way it is written.
             {quoted(longest.substr(1) + R"("")"),
              {"", longest.substr(1) + "\""},
              quoted(longest.substr(1) + R"("")")},
         }) {
        CAPTURE(one.text);
        CHECK(parse_table_name(one.text) == one.table);
        CHECK(parse_table_name(one.text).quoted() == one.quoted);
        CHECK(parse_table_name(one.quoted) == one.table);
    }
}

TEST_CASE("a table name that cannot be one is refused with the reason", "[config]") {
    using namespace std::string_literals;
    struct unreadable {
        std::string_view reason;
        std::vector<std::string> texts;
    };
    for (const auto& [reason, texts] : std::vector<unreadable>{
             {"empty part", {"", ".", "a.", ".a", "a..b", "\"\"", "a.\"\""}},
             {"in double quotes: a.b.c", {"a.b.c"}},
             {"more than two parts", {"a.b.", R"("a"."b"."c")"}},
             {"closing one", {"\"a", R"("a"")", "a.\"b", "\""}},
             {"behind a closing double quote", {"\"a\"b", "\"a\" ", R"("a"."b"c)"}},
             {R"(write: "a""b")", {"a\"b"}},
             {R"(write: "x""; DROP TABLE y; --")", {"x\"; DROP TABLE y; --"}},
             {R"(write: "b""")", {"a.b\""}},
             {"63 bytes", {longest + "x", "a." + longest + "x", "\"" + longest + "x\""}},
             {"NUL", {"a\0b"s, "\"a\0\""s}},
             {"UTF-8", {"a\xFF", "a\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80"}},
         })
        for (const auto& text : texts) {
            CAPTURE(text);
            const auto message = table_refusal(text);
            CHECK(message.starts_with("config: table_name "));
            CAPTURE(message);
            CHECK(message.find(reason) != std::string::npos);
        }
    CHECK(table_refusal(std::string(100'000, 'x')).size() < 400);
}

TEST_CASE("index names are the Go SDK's wherever they fit", "[config]") {
    const table_identifier plain{"", "agent_states"};
    CHECK(plain.index_name("agent_id") == "idx_agent_states_agent_id");
    CHECK(plain.index_name("updated_at") == "idx_agent_states_updated_at");
    CHECK(plain.quoted_index("agent_id") == R"("idx_agent_states_agent_id")");

    const table_identifier odd{"s\"c", "t\"; --"};
    CHECK(odd.quoted_index("agent_id") == R"("idx_t""; --_agent_id")");

    // 4 + 50 + 1 + 8 = 63 bytes fit; one more does not.
    const std::string fits(50, 'x');
    CHECK(table_identifier{"", fits}.index_name("agent_id") == "idx_" + fits + "_agent_id");
    CHECK(table_identifier{"", fits + "x"}.index_name("agent_id") != "idx_" + fits + "x_agent_id");
}

TEST_CASE("long index names stay distinct within 63 bytes", "[config]") {
    std::set<std::string> names;
    std::size_t made = 0;
    for (std::size_t length = 1; length <= 63; ++length) {
        for (const char last : {'a', 'b'}) {
            for (const std::string_view suffix : {"agent_id", "updated_at", "expires_at", "state"}) {
                const table_identifier table{"", std::string(length - 1, 'x') + last};
                const auto name = table.index_name(suffix);
                CHECK(name.size() <= 63);
                CHECK(name.ends_with(suffix));
                CHECK(name == table.index_name(suffix));
                names.insert(name);
                ++made;
            }
        }
    }
    CHECK(names.size() == made);

    // Written down here: a release that names them otherwise would create every long index a second time.
    CHECK(table_identifier{"", longest}.index_name("agent_id") ==
          "idx_" + longest.substr(0, 41) + "_a7ebab05_agent_id");
}

TEST_CASE("a long index name is cut between characters", "[config]") {
    for (std::size_t shift = 0; shift < 4; ++shift) {
        std::string name(shift, 'x');
        while (name.size() + 4 <= 63)
            name += "\xF0\x9F\xA4\x96";
        const auto index = table_identifier{"", name}.index_name("agent_id");
        CHECK(index.size() <= 63);
        CHECK(parse_table_name(index).name == index); // still valid UTF-8
    }
}
