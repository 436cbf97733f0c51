#include "support/states.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <chrono>
#include <string_view>
#include <utility>

namespace pgstate_test {

using namespace std::chrono_literals;
using namespace std::string_literals;

boost::json::object parsed(std::string_view text) {
    return boost::json::parse({text.data(), text.size()}).as_object();
}

pgstate::agent_state state_with(const std::string& agent, const std::string& session, std::string_view data) {
    pgstate::agent_state state(agent, session);
    state.data = parsed(data);
    return state;
}

pgstate::agent_state full_state(const std::string& agent, const std::string& session) {
    pgstate::agent_state state(agent, session);
    state.data = {{"count", 42},
                  {"score", 0.75},
                  {"ready", true},
                  {"nothing", nullptr},
                  {"", "a member without a name"},
                  {"list", {1, "two", 3.0, {4, {{"five", 6}}}, boost::json::array{}, boost::json::object{}}}};
    state.context = {{"user", "john"}, {"goal", {{"topic", "letters"}, {"step", 2}}}};
    state.extra = {{"tenant", "acme"}, {"flags", {1, 2, 3}}, {"none", nullptr}, {"weight", 1.5}};
    const pgstate::timestamp start =
        std::chrono::sys_days(std::chrono::year(2024) / 2 / 29) + 23h + 59min + 59s;
    state.history.emplace_back("user", "Hello, \"world\"\n\ttabbed \\ back", start + 123456us);
    state.history.emplace_back("assistant", "", start + 500ms);
    state.history.back().metadata = {{"model", "m"}, {"tokens", 12}, {"nested", {{"a", {1, 2}}}}};
    state.history.back().extra = {{"tool_calls", {{{"id", "x"}}}}, {"score", 2.25}, {"null", nullptr}};
    state.history.emplace_back("tool", "text",
                               std::chrono::sys_days(std::chrono::year(1) / 1 / 1)); // Go's zero time
    return state;
}

pgstate::agent_state contents_of(pgstate::agent_state state) {
    state.version = 0;
    state.created_at = state.updated_at = {};
    return state;
}

std::vector<std::string> many_texts() {
    std::vector<std::string> texts = {
        "English",
        "Ünïcödé ß",
        "Русский текст",
        "Ελληνικά",
        "中文字符，标点。",
        "日本語テキスト",
        "한국어",
        "العربية",
        "עברית",
        "हिन्दी",
        "ไทย",
        "Tiếng Việt",
        "👩‍👩‍👧‍👦 🇩🇪 🤖",
        "a\u0301 and \u00e1", // decomposed and composed
        "\u2028 and \u2029",  // what JavaScript once could not
        "\ufeff byte order mark",
        "\uffff \ue000 \U0010ffff \U00010000", // the edges of the planes
        "\x7f delete",
        "quote \" backslash \\ slash / \\u0041 \\n",
        " leading and trailing ",
        "'; DROP TABLE agent_states; --",
        "$1 %s {0} {} \\x00",
    };
    std::string controls;
    for (char c = 1; c < 0x20; ++c)
        controls += c;
    texts.push_back(controls);
    texts.push_back(std::string(10'000, 'x') + "ü");
    return texts;
}

boost::json::value nested(std::size_t depth) {
    boost::json::value value = boost::json::array{};
    for (std::size_t i = 1; i < depth; ++i) {
        boost::json::array outer;
        outer.push_back(std::move(value));
        value = std::move(outer);
    }
    return value;
}

std::vector<std::string> bad_texts() {
    return {
        "nul \0 inside"s,
        "\0"s,
        "a nul far behind the front, after two words of eight \0"s,
        "\xED\xA0\x80"s,                  // a lone high surrogate
        "pair \xED\xA0\xBD\xED\xB0\x80"s, // a pair of surrogates, each encoded by itself
        "\xC0\x80"s,                      // NUL in two bytes
        "\xC1\xBF"s,
        "\xE0\x9F\xBF"s,         // overlong
        "\xF0\x8F\xBF\xBF"s,     // overlong
        "\xF4\x90\x80\x80"s,     // above U+10FFFF
        "\xF8\x88\x80\x80\x80"s, // five bytes
        "\xFF"s,
        "\x80"s, // a continuation by itself
        "plain text and then \xBF"s,
        "cut off \xE2\x82"s,
        "cut off \xF0\x9F\xA4"s,
        "not continued \xC3("s,
    };
}

} // namespace pgstate_test
