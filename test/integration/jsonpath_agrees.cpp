#include "jsonpath_cases.hpp"
#include "jsonpath_generator.hpp"
#include "pgstate/error.hpp"
#include "store/containment.hpp"
#include "store/json_writer.hpp"
#include "store/jsonpath.hpp"
#include "store/numeric.hpp"
#include "support/test_server.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <catch2/catch_get_random_seed.hpp>
#include <catch2/catch_test_macros.hpp>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace pgstate_test;
using pgstate::store::jsonpath;
namespace json = boost::json;

namespace {

using truth = jsonpath::truth;

struct question {
    json::value document;
    std::string path;
};

/// As pgstate stores it.
std::string stored(const json::value& document) {
    std::string text;
    pgstate::store::append_value(text, document, 0);
    return text;
}

class path_server {
public:
    path_server() : connection_(fresh_database()), session_(connection_) {
        session_.exec(
            "CREATE FUNCTION path_state(path text) RETURNS text LANGUAGE plpgsql AS $$"
            " BEGIN PERFORM path::jsonpath; RETURN ''; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$");
        version_ = connection_.server_version() / 10000;
    }

    int version() const noexcept { return version_; }

    /// What `document @@ path` gives.
    std::vector<truth> matches(const std::vector<question>& questions) {
        json::array pairs;
        for (const auto& [document, path] : questions)
            pairs.push_back(json::array{json::string(stored(document)), json::string(path)});
        std::vector<truth> answers;
        for (const auto& answer : ask("(e->>0)::jsonb @@ (e->>1)::jsonpath", pairs))
            answers.push_back(!answer ? truth::unknown : *answer == "t" ? truth::yes : truth::no);
        return answers;
    }

    /// What `whole @> part` gives.
    std::vector<bool> contain(const std::vector<std::pair<json::value, json::value>>& questions) {
        json::array pairs;
        for (const auto& [whole, part] : questions)
            pairs.push_back(json::array{json::string(stored(whole)), json::string(stored(part))});
        std::vector<bool> answers;
        for (const auto& answer : ask("(e->>0)::jsonb @> (e->>1)::jsonb", pairs))
            answers.push_back(answer == "t");
        return answers;
    }

    /// Sums, differences, products and so on, as texts with a space between them.
    std::vector<std::string> calculate(const std::vector<std::pair<std::string, std::string>>& operands) {
        json::array pairs;
        for (const auto& [a, b] : operands)
            pairs.push_back(json::array{json::string(a), json::string(b)});
        const std::string a = "(e->>0)::numeric", b = "(e->>1)::numeric";
        std::vector<std::string> answers;
        for (const auto& answer :
             ask("concat_ws(' ', " + a + " + " + b + ", " + a + " - " + b + ", " + a + " * " + b +
                     ", floor(" + a + "), ceil(" + a + "), trunc(" + a + "), sign(" + a + " - " + b + "), " +
                     a + " / nullif(" + b + ", 0), " + a + " % nullif(" + b + ", 0))",
                 pairs))
            answers.push_back(answer.value_or("?"));
        return answers;
    }

    /// The SQLSTATEs with which texts are refused as paths, empty for those that are not.
    std::vector<std::string> states(const std::vector<std::string>& paths) {
        json::array texts;
        for (const auto& path : paths)
            texts.push_back(json::array{json::string(path)});
        std::vector<std::string> answers;
        for (const auto& answer : ask("path_state(e->>0)", texts))
            answers.push_back(answer.value_or("?"));
        return answers;
    }

private:
    std::vector<std::optional<std::string>> ask(const std::string& expression, const json::array& arguments) {
        const auto rows = session_.exec("SELECT " + expression + " FROM jsonb_array_elements(" +
                                        session_.quote(json::serialize(arguments)) +
                                        "::jsonb) WITH ORDINALITY AS t(e, n) ORDER BY n");
        std::vector<std::optional<std::string>> answers;
        for (const auto& row : rows)
            answers.push_back(row[0].is_null() ? std::nullopt : std::optional(row[0].as<std::string>()));
        return answers;
    }

    pqxx::connection connection_;
    pqxx::nontransaction session_;
    int version_ = 0;
};

/// Nothing where this library says that it does not evaluate the path.
std::optional<truth> answer_here(const question& asked) {
    const auto path = jsonpath::parse(asked.path, "find");
    try {
        return path.matches(asked.document, "find");
    } catch (const pgstate::error& refusal) {
        if (refusal != pgstate::errc::invalid_argument ||
            std::string_view(refusal.what()).find("is not evaluated by a memory_store") ==
                std::string_view::npos)
            throw;
        return std::nullopt;
    }
}

/// Asks both, and returns how many were answered here.
std::size_t compare_answers(path_server& server, const std::vector<question>& questions) {
    constexpr std::size_t batch = 250;
    std::size_t answered = 0;
    for (std::size_t begin = 0; begin < questions.size(); begin += batch) {
        const std::vector<question> some(
            questions.begin() + static_cast<std::ptrdiff_t>(begin),
            questions.begin() + static_cast<std::ptrdiff_t>(std::min(questions.size(), begin + batch)));
        const auto expected = server.matches(some);
        for (std::size_t i = 0; i < some.size(); ++i) {
            const auto here = answer_here(some[i]);
            if (!here) continue;
            ++answered;
            if (*here == expected[i]) continue;
            INFO("document: " << stored(some[i].document));
            INFO("path: " << some[i].path);
            CHECK(static_cast<int>(*here) == static_cast<int>(expected[i]));
        }
    }
    return answered;
}

} // namespace

TEST_CASE("a table of paths is answered as the server answers it", "[jsonpath]") {
    path_server server;
    std::vector<question> questions;
    for (const auto& document : documents_to_ask)
        for (const auto& path : paths_to_ask) {
            questions.push_back({json::parse(document), path});
        }
    CHECK(compare_answers(server, questions) == questions.size());
}

TEST_CASE("random paths are answered as the server answers them", "[jsonpath]") {
    const auto seed = Catch::getSeed();
    CAPTURE(seed);
    path_server server;
    jsonpath_generator generator(seed);
    std::vector<question> questions;
    for (int i = 0; i < 6000; ++i) {
        questions.push_back({generator.document(), generator.path()});
        INFO("path: " << questions.back().path);
        REQUIRE_FALSE(jsonpath::first_fault(questions.back().path).has_value());
    }
    // Only ids of .keyvalue() and numbers of more than 5,000 digits are asked for that are not evaluated.
    CHECK(compare_answers(server, questions) > questions.size() * 9 / 10);
}

TEST_CASE("containment is answered as the server answers it", "[jsonpath][containment]") {
    const auto seed = Catch::getSeed();
    CAPTURE(seed);
    path_server server;
    jsonpath_generator generator(seed);
    std::vector<std::pair<json::value, json::value>> questions;
    for (const auto& whole : documents_to_ask)
        for (const auto& part : documents_to_ask)
            questions.emplace_back(json::parse(whole), json::parse(part));
    for (int i = 0; i < 5000; ++i) {
        auto whole = generator.document();
        auto part = generator.part_of(whole);
        questions.emplace_back(std::move(whole), std::move(part));
    }
    const auto expected = server.contain(questions);
    std::size_t contained = 0;
    for (std::size_t i = 0; i < questions.size(); ++i) {
        const auto& [whole, part] = questions[i];
        const bool here = pgstate::store::contains(whole, part);
        contained += here;
        if (here == expected[i]) continue;
        INFO("whole: " << stored(whole));
        INFO("part: " << stored(part));
        CHECK(here == expected[i]);
    }
    CHECK(contained > questions.size() / 10); // so both answers were asked for
    CHECK(contained < questions.size() * 9 / 10);
}

namespace {

/// Texts about which this library and the server need not agree whether they are paths, and why.
bool may_differ(std::string_view text, int version) {
    const auto has = [&](std::string_view piece) { return text.find(piece) != std::string_view::npos; };
    const auto digit = [&](std::size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
    // Version 17 added these methods.
    for (const auto* method : {"bigint", "boolean", "date", "decimal", "integer", "number", "string", "time"})
        if (version < 17 && has("." + std::string(method) + "(")) return true;
    // Version 16 added underscores within numbers, and the bases 16, 8 and 2: a word of a digit and more was a name.
    for (std::size_t i = 0; version < 16 && i + 1 < text.size(); ++i)
        if (digit(i) &&
            (text[i + 1] == '_' ||
             (text[i] == '0' && std::string_view("xXoObB").find(text[i + 1]) != std::string_view::npos)))
            return true;
    return false;
}

/// Both must refuse, or both take, each of the texts. Returns how many they take.
std::size_t compare_refusals(path_server& server, const std::vector<std::string>& texts) {
    const auto states = server.states(texts);
    std::size_t taken = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const auto fault = jsonpath::first_fault(texts[i]);
        taken += states[i].empty();
        // A variable is parsed by the server and refused, or null, when the path is evaluated.
        const bool refused_here = fault && fault->what != pgstate::store::jsonpath_fault::kind::variable;
        if (refused_here == !states[i].empty() || may_differ(texts[i], server.version())) continue;
        INFO("path: " << texts[i]);
        INFO("SQLSTATE: " << states[i]);
        INFO("here: " << (fault ? fault->message : "taken"));
        CHECK(refused_here == !states[i].empty());
    }
    return taken;
}

std::string quoted_for_path(const std::string& pattern) {
    std::string text = "\"";
    for (const char c : pattern) {
        if (c == '"' || c == '\\') text += '\\';
        text += c;
    }
    return text + '"';
}

} // namespace

TEST_CASE("what the server refuses as a path is refused, and nothing else", "[jsonpath]") {
    path_server server;
    auto texts = texts_to_take;
    texts.insert(texts.end(), paths_to_ask.begin(), paths_to_ask.end());
    for (const auto& pattern : patterns_to_take) {
        texts.push_back("$ like_regex " + quoted_for_path(pattern));
        texts.push_back("$ like_regex " + quoted_for_path(pattern) + " flag \"i\"");
        texts.push_back("$ like_regex " + quoted_for_path(pattern) + " flag \"q\"");
    }
    compare_refusals(server, texts);
}

TEST_CASE("of paths with random changes those are refused that the server refuses", "[jsonpath]") {
    const auto seed = Catch::getSeed();
    CAPTURE(seed);
    path_server server;
    jsonpath_generator generator(seed);
    std::vector<std::string> texts;
    for (int i = 0; i < 8000; ++i)
        texts.push_back(
            generator.mutated(generator.one_in(3) ? generator.pick(paths_to_ask) : generator.path()));
    const auto taken = compare_refusals(server, texts);
    CHECK(taken > texts.size() / 20); // so both answers were asked for
    CHECK(taken < texts.size() * 19 / 20);
}

TEST_CASE("random patterns match what they match for the server", "[jsonpath]") {
    const auto seed = Catch::getSeed();
    CAPTURE(seed);
    path_server server;
    jsonpath_generator generator(seed);
    const std::vector<std::string> flags{
        "", "", R"( flag "i")", R"( flag "s")", R"( flag "m")", R"( flag "sm")", R"( flag "q")"};
    std::vector<std::string> paths;
    for (int i = 0; i < 2500; ++i)
        paths.push_back("$[*] like_regex " + quoted_for_path(generator.pattern()) + generator.pick(flags));
    compare_refusals(server, paths);

    std::vector<question> questions;
    for (const auto& path : paths) {
        if (jsonpath::first_fault(path)) continue;
        for (int i = 0; i < 4; ++i)
            questions.push_back({json::array{json::string(generator.subject())}, path});
    }
    // Of characters beyond ASCII a class is not asked here, nor their case.
    CHECK(compare_answers(server, questions) > questions.size() / 2);
}

TEST_CASE("numbers are calculated as the server calculates them", "[jsonpath][numeric]") {
    using pgstate::store::numeric;
    const auto seed = Catch::getSeed();
    CAPTURE(seed);
    path_server server;
    jsonpath_generator generator(seed);
    std::vector<std::pair<std::string, std::string>> operands;
    for (int i = 0; i < 3000; ++i)
        operands.emplace_back(generator.number(), generator.number());
    const auto expected = server.calculate(operands);
    for (std::size_t i = 0; i < operands.size(); ++i) {
        const auto a = numeric::parse(operands[i].first), b = numeric::parse(operands[i].second);
        std::string here = (a + b).to_string() + " " + (a - b).to_string() + " " + (a * b).to_string() + " " +
                           a.floor().to_string() + " " + a.ceiling().to_string() + " " +
                           a.trunc().to_string() + " " +
                           (a < b    ? "-1"
                            : a == b ? "0"
                                     : "1");
        if (!b.is_zero()) here += " " + (a / b).to_string() + " " + (a % b).to_string();
        if (here == expected[i]) continue;
        INFO(operands[i].first << " and " << operands[i].second);
        CHECK(here == expected[i]);
    }
}
