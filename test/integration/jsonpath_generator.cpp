#include "jsonpath_generator.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include <algorithm>
#include <limits>

namespace pgstate_test {

namespace json = boost::json;

json::value jsonpath_generator::primitive() {
    static const std::vector<json::value> values{nullptr,
                                                 true,
                                                 false,
                                                 0,
                                                 1,
                                                 2,
                                                 -1,
                                                 7,
                                                 1.0,
                                                 2.0,
                                                 0.1,
                                                 0.5,
                                                 -2.5,
                                                 1e22,
                                                 1e-7,
                                                 123456.789,
                                                 0x1p53,
                                                 9007199254740993,
                                                 std::numeric_limits<std::int64_t>::max(),
                                                 std::numeric_limits<std::int64_t>::min(),
                                                 std::numeric_limits<std::uint64_t>::max(),
                                                 0x1p63,
                                                 0x1p64,
                                                 5e-324,
                                                 1.7976931348623157e308,
                                                 "",
                                                 "a",
                                                 "b",
                                                 "ab",
                                                 "abc",
                                                 "A b",
                                                 "1",
                                                 " 2.5 ",
                                                 "1e5",
                                                 "x\ny",
                                                 "key",
                                                 "value",
                                                 "2024-01-01"};
    return pick(values);
}

json::value jsonpath_generator::value(std::size_t depth) {
    const auto what = depth == 0 ? 0 : below(10);
    if (what < 3) return primitive();
    if (what < 6) {
        json::array elements;
        for (auto count = below(4); count > 0; --count)
            elements.push_back(value(depth - 1));
        return elements;
    }
    json::object members;
    for (auto count = below(5); count > 0; --count)
        members[pick_text({"a", "b", "c", "aa", "key", "value", "k y"})] = value(depth - 1);
    return members;
}

json::value jsonpath_generator::part_of(const json::value& whole) {
    if (one_in(12)) return value(1);
    if (const auto* members = whole.if_object()) {
        json::object part;
        for (const auto& member : *members)
            if (!one_in(3)) part[member.key()] = part_of(member.value());
        return part;
    }
    if (const auto* elements = whole.if_array()) {
        if (!elements->empty() && one_in(5)) return part_of((*elements)[below(elements->size())]);
        json::array part;
        for (const auto& element : *elements)
            for (auto count = below(3); count > 0; --count)
                part.insert(part.begin() + static_cast<std::ptrdiff_t>(below(part.size() + 1)),
                            part_of(element));
        return part;
    }
    if (whole.is_int64() && one_in(2)) return static_cast<double>(whole.get_int64());
    return whole;
}

std::string jsonpath_generator::path() {
    const auto mode = pick_text({"", "", "lax ", "strict ", "strict "});
    return mode + (one_in(6) ? expression(3) : predicate(3));
}

std::string jsonpath_generator::delimited_predicate(std::size_t depth) {
    if (one_in(3)) return "exists (" + expression(depth - 1) + ")";
    return "(" + predicate(depth - 1) + ")";
}

std::string jsonpath_generator::predicate(std::size_t depth) {
    const auto what = depth == 0 ? below(6) : below(12);
    switch (what) {
    case 0: return expression(0) + " starts with " + pick_text({R"("a")", R"("")", R"("A b")"});
    case 1:
        return expression(0) + " like_regex " +
               pick_text({R"("^a")", R"("b$")", R"("^A" flag "i")", R"("x.y")", R"("x.y" flag "s")",
                          R"("^y" flag "m")", R"("a*b?c{0,2}")", R"("[^a-b]")", R"("a.c" flag "q")",
                          R"("\\d+")", R"("(a|b)+c|^$")", R"("\\mb\\M")"});
    case 2:
    case 3:
    case 4:
    case 5:
        return expression(depth == 0 ? 0 : depth - 1) +
               pick_text({" == ", " != ", " <> ", "<", " <= ", ">", " >= "}) +
               expression(depth == 0 ? 0 : depth - 1);
    case 6: return predicate(depth - 1) + " && " + predicate(depth - 1);
    case 7: return predicate(depth - 1) + " || " + predicate(depth - 1);
    case 8: return "!" + delimited_predicate(depth);
    case 9: return "(" + predicate(depth - 1) + ") is unknown";
    default: return delimited_predicate(depth);
    }
}

std::string jsonpath_generator::literal() {
    return pick_text({"0",
                      "1",
                      "2",
                      "7",
                      "-1",
                      "0.1",
                      "0.5",
                      "1.0",
                      "2.50",
                      "1e2",
                      "9007199254740992",
                      "9223372036854775808",
                      "18446744073709551616",
                      "3",
                      R"("a")",
                      R"("ab")",
                      R"("")",
                      R"("1")",
                      "null",
                      "true",
                      "false"});
}

std::string jsonpath_generator::beginning() {
    if (subscripts_ != 0 && one_in(3)) return "last";
    if (filters_ != 0 && !one_in(3)) return "@";
    return "$";
}

std::string jsonpath_generator::expression(std::size_t depth) {
    switch (depth == 0 ? below(6) : below(12)) {
    case 0: return literal();
    case 6:
        return expression(depth - 1) + pick_text({" + ", " - ", " * ", "/", " % "}) + expression(depth - 1);
    case 7: return pick_text({"-", "+", "- "}) + expression(depth - 1);
    case 8: return "(" + expression(depth - 1) + ")" + (one_in(2) ? accessors(depth) : "");
    case 9: return "(" + predicate(depth - 1) + ")" + accessor(depth);
    default: return beginning() + accessors(depth);
    }
}

std::string jsonpath_generator::accessors(std::size_t depth) {
    std::string text;
    for (auto count = below(depth == 0 ? 3 : 4); count > 0; --count)
        text += accessor(depth);
    return text;
}

std::string jsonpath_generator::subscripts(std::size_t depth) {
    ++subscripts_;
    std::string text = "[";
    for (auto count = 1 + below(2); count > 0; --count) {
        const auto end = [&] {
            return one_in(3) ? (depth == 0 ? "last" : expression(depth - 1))
                             : pick_text({"0", "1", "2", "last", "last - 1", "0.9"});
        };
        text += end();
        if (one_in(3)) text += " to " + end();
        text += count > 1 ? ", " : "]";
    }
    --subscripts_;
    return text;
}

std::string jsonpath_generator::accessor(std::size_t depth) {
    switch (below(depth == 0 ? 12 : 16)) {
    case 0:
    case 1:
    case 2: return "." + pick_text({"a", "b", "c", "aa", "key", "value", R"("k y")", R"(\u0061)"});
    case 3: return ".*";
    case 4:
    case 5: return "[*]";
    case 6:
    case 7: return subscripts(depth);
    case 8: return pick_text({".**", ".**{1}", ".**{0 to 1}", ".**{1 to last}", ".**{last}", ".**{2 to 1}"});
    case 9:
    case 10: return pick_text({".type()", ".size()", ".double()", ".abs()", ".floor()", ".ceiling()"});
    case 11: return pick_text({".keyvalue()", ".keyvalue().key", ".keyvalue().value", ".size()", ".type()"});
    default: {
        ++filters_;
        auto text = pick_text({"?(", " ? ("}) + predicate(depth - 1) + ")";
        --filters_;
        return text;
    }
    }
}

std::string jsonpath_generator::pattern(std::size_t depth) {
    switch (depth == 0 ? below(12) : below(20)) {
    case 0:
    case 1: return "a";
    case 2: return "b";
    case 3: return ".";
    case 4:
        return pick_text(
            {"[ab]", "[^a]", "[^a\\n]", "[a-c]", "[[:upper:]_]", "[^[:digit:]]", "[\\w-]", "[\\D]", "[]-a]"});
    case 5: return pick_text({"^", "$", "\\A", "\\Z"});
    case 6: return pick_text({"\\m", "\\M", "\\y", "\\Y", "[[:<:]]", "[[:>:]]"});
    case 7: return pick_text({"\\d", "\\D", "\\w", "\\W", "\\s", "\\S"});
    case 8: return pick_text({"\\n", "\\x41", "\\u0062", "\\.", "\\t", "\\007", "(?#x)", "\\_"});
    case 9: return pick_text({"A", "B", "\xC3\xA9", " ", "-", "_", "1", "{", "]", ""});
    case 10: return "a" + pick_text({"*", "+", "?", "*?", "{2}", "{1,2}", "{0,1}", "{2,}", "{0}", "{1}?"});
    case 12:
    case 13: return pattern(depth - 1) + "|" + pattern(depth - 1);
    case 14:
    case 15:
        return pick_text({"(", "(?:"}) + pattern(depth - 1) + ")" +
               pick_text({"", "*", "+", "?", "{2}", "{1,3}", "{0,2}"});
    default: return pattern(depth == 0 ? 0 : depth - 1) + pattern(depth == 0 ? 0 : depth - 1);
    }
}

std::string jsonpath_generator::subject() {
    std::string text;
    for (auto count = below(7); count > 0; --count)
        text += pick_text({"a", "a", "b", "c", "A", "B", "1", "_", " ", "-", "\n", ".", "\xC3\xA9", "{"});
    return text;
}

std::string jsonpath_generator::number() {
    const auto digits = [&](std::size_t most) {
        std::string text;
        for (auto count = 1 + below(most); count > 0; --count)
            text += one_in(3) ? pick_text({"0", "9"}) : std::to_string(below(10));
        return text;
    };
    auto text = one_in(3) ? "-" + digits(4) : digits(one_in(4) ? 60 : 12);
    if (one_in(2)) text += "." + digits(one_in(4) ? 60 : 8);
    if (one_in(5)) text += pick_text({"e", "E-", "e+"}) + std::to_string(below(one_in(3) ? 300 : 20));
    return text;
}

std::string jsonpath_generator::mutated(std::string text) {
    static const std::vector<std::string> pieces{
        "$",        "@",          ".",     "*",          "**",        "[",          "]",
        "(",        ")",          "?",     "!",          "&&",        "||",         "==",
        "=",        "<>",         "<",     ">=",         "+",         "-",          "/",
        "%",        ",",          "{",     "}",          "\"",        "\\",         " ",
        "'",        ":",          "#",     "/*",         "*/",        "a",          "x",
        "0",        "1",          "1.5",   ".5",         "1e",        "e5",         "00",
        "_",        " to ",       "last",  " is ",       "unknown",   "exists",     "starts",
        "with",     "like_regex", "flag",  "\"i\"",      "\"x\"",     "null",       "true",
        "True",     "strict",     "lax",   "type",       "()",        "abs",        "\\u00",
        "\\u0041",  "\\x4",       "\\x41", "\\ud83d",    "\\ude00",   "\\u{1F600}", "\\u{110000}",
        "\\u0000",  "\\n",        "\\q",   "\n",         "\xC3\xA9",  "datetime",   ".datetime()",
        "keyvalue", "\"[a\"",     "\"(\"", "\"a{2,1}\"", "\"\\\\1\"", "1e131072",   "99999999999"};
    for (auto count = 1 + below(3); count > 0; --count) {
        const auto at = below(text.size() + 1);
        // Whole characters only: half of one is not UTF-8, which the server refuses before it is a path.
        const auto inside = [&](std::size_t i) {
            return i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80;
        };
        if (inside(at)) continue;
        const auto what = below(3);
        auto end = what == 0 ? at : std::min(text.size(), at + 1 + below(4));
        while (inside(end))
            ++end;
        text.replace(at, end - at, what == 1 ? "" : pick(pieces));
    }
    return text;
}

} // namespace pgstate_test
