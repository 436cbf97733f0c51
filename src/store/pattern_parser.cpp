#include "store/pattern_parser.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace pgstate::store {
namespace {

constexpr char32_t last_character = 0x10FFFF;
constexpr unsigned no_limit = std::numeric_limits<unsigned>::max();

struct character_class {
    std::string_view name;
    std::string_view ascii; ///< ranges, each by its first and its last character, in order
};
// Every character beyond ASCII is the collation's matter.
constexpr std::array<character_class, 14> classes{{
    {"alnum", "09AZaz"},
    {"alpha", "AZaz"},
    {"ascii", std::string_view("\0\x7F", 2)},
    {"blank", "  \t\t"},
    {"cntrl", std::string_view("\0\x1F\x7F\x7F", 4)},
    {"digit", "09"},
    {"graph", "!~"},
    {"lower", "az"},
    {"print", " ~"},
    {"punct", "!/:@[`{~"},
    {"space", "\t\r  "},
    {"upper", "AZ"},
    {"xdigit", "09AFaf"},
    {"word", "09AZ__az"},
}};

constexpr bool is_ascii_letter(char32_t c) noexcept {
    return (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z');
}
constexpr bool is_digit(char32_t c) noexcept {
    return c >= U'0' && c <= U'9';
}

int digit_value(char32_t c) noexcept {
    if (is_digit(c)) return static_cast<int>(c - U'0');
    if (c >= U'a' && c <= U'f') return static_cast<int>(c - U'a') + 10;
    if (c >= U'A' && c <= U'F') return static_cast<int>(c - U'A') + 10;
    return 99;
}

[[noreturn]] void refuse_pattern(std::string what) {
    throw pattern_fault{std::move(what)};
}

const character_class& class_named(std::string_view name) {
    const auto* found = std::find_if(classes.begin(), classes.end(),
                                     [&](const character_class& known) { return known.name == name; });
    if (found == classes.end()) refuse_pattern("a known character class");
    return *found;
}

} // namespace

pattern pattern::parse(std::string_view text, pattern_flags flags) {
    return pattern_parser(text, flags).run();
}

pattern_parser::pattern_parser(std::string_view text, pattern_flags flags)
    : text_(decode_utf8(text)), literal_(flags.literal), dot_all_(flags.literal || flags.dot_all),
      multiline_(flags.multiline && !flags.literal) {
    result_.ignore_case_ = flags.ignore_case;
}

pattern pattern_parser::run() {
    if (!literal_) read_prefixes();
    if (other_syntax_) return std::move(result_);
    const node_id tree = literal_ ? read_literal() : read_alternatives(false, false);
    if (result_.not_evaluated_.empty()) {
        if (!write(tree)) not_evaluated("so large a pattern");
        result_.steps_.push_back({});
    }
    return std::move(result_);
}

void pattern_parser::not_evaluated(std::string_view what) {
    if (result_.not_evaluated_.empty()) result_.not_evaluated_ = what;
}

// --- reading ---------------------------------------------------------------------------------------------------------

bool pattern_parser::at(std::u32string_view wanted) const noexcept {
    return std::u32string_view(text_).substr(at_).starts_with(wanted);
}

bool pattern_parser::eat(std::u32string_view wanted) noexcept {
    if (!at(wanted)) return false;
    at_ += wanted.size();
    return true;
}

void pattern_parser::read_prefixes() {
    if (text_.size() > 3 && at(U"***")) {
        if (eat(U"***=")) {
            literal_ = dot_all_ = true;
            multiline_ = false;
            return;
        }
        if (!eat(U"***:")) refuse_pattern("a regular expression that does not begin with ***");
    }
    if (!at(U"(?") || at_ + 2 >= text_.size() || !is_ascii_letter(text_[at_ + 2])) return;
    at_ += 2;
    for (; !ends() && is_ascii_letter(text_[at_]); ++at_)
        read_option(text_[at_]);
    if (!eat(U")")) refuse_pattern("a ')' after the options that a pattern begins with");
    if (literal_) {
        dot_all_ = true;
        multiline_ = false;
    }
    if (other_syntax_) not_evaluated("another syntax of patterns");
}

void pattern_parser::read_option(char32_t option) {
    switch (option) {
    case U'b':
    case U'e':
    case U'x': other_syntax_ = true; return;
    case U'c': result_.ignore_case_ = false; return;
    case U'i': result_.ignore_case_ = true; return;
    case U'm':
    case U'n':
        dot_all_ = false;
        multiline_ = true;
        return;
    case U'p':
        dot_all_ = false;
        multiline_ = false;
        return;
    case U'q': literal_ = true; return;
    case U's':
        dot_all_ = true;
        multiline_ = false;
        return;
    case U't': return;
    case U'w':
        dot_all_ = true;
        multiline_ = true;
        return;
    default: refuse_pattern("a known option at the pattern's beginning");
    }
}

/// What the next token is, with comments skipped; a character that no pattern has at its end.
char32_t pattern_parser::peek() {
    while (at(U"(?#")) {
        const auto end = text_.find(U')', at_);
        at_ = end == std::u32string::npos ? text_.size() : end + 1;
    }
    return ends() ? no_character : text_[at_];
}

pattern_parser::node_id pattern_parser::read_literal() {
    std::vector<node_id> parts;
    for (; !ends(); ++at_)
        parts.push_back(single(text_[at_]));
    return add({.what = node::kind::sequence, .children = std::move(parts)});
}

pattern_parser::node_id pattern_parser::read_alternatives(bool in_parentheses, bool in_lookaround) {
    if (++depth_ > pattern::max_depth)
        refuse_pattern("parentheses nested not deeper than " + std::to_string(pattern::max_depth));
    std::vector<node_id> branches;
    do
        branches.push_back(read_branch(in_parentheses, in_lookaround));
    while (peek() == U'|' && eat(U"|"));
    if (in_parentheses && !eat(U")")) refuse_pattern("a ')' for each '('");
    --depth_;
    if (branches.size() == 1) return branches.front();
    return add({.what = node::kind::choice, .children = std::move(branches)});
}

pattern_parser::node_id pattern_parser::read_branch(bool in_parentheses, bool in_lookaround) {
    std::vector<node_id> parts;
    for (char32_t c = peek(); c != no_character && c != U'|' && !(c == U')' && in_parentheses); c = peek())
        parts.push_back(read_part(in_lookaround));
    return add({.what = node::kind::sequence, .children = std::move(parts)});
}

/// An atom with its quantifier, or a constraint, which can have none.
pattern_parser::node_id pattern_parser::read_part(bool in_lookaround) {
    using enum pattern_step::condition;
    const char32_t c = text_[at_];
    switch (c) {
    case U'*':
    case U'+':
    case U'?': refuse_pattern("something to repeat before a quantifier");
    case U'{':
        if (at_ + 1 < text_.size() && is_digit(text_[at_ + 1]))
            refuse_pattern("something to repeat before a quantifier");
        break;
    case U')': refuse_pattern("a '(' for each ')'");
    case U'^': ++at_; return check(multiline_ ? line_start : text_start);
    case U'$': ++at_; return check(multiline_ ? line_end : text_end);
    case U'(':
        if (at(U"(?")) {
            if (const auto look = read_lookaround()) return *look;
            return read_quantifier(read_alternatives(true, in_lookaround));
        }
        return read_quantifier(read_group(in_lookaround));
    case U'[':
        if (eat(U"[[:<:]]")) return word_check(word_start);
        if (eat(U"[[:>:]]")) return word_check(word_end);
        return read_quantifier(read_bracket());
    case U'.': {
        ++at_;
        character_set any;
        any.negated = true;
        if (!dot_all_) any.add(U'\n', U'\n');
        return read_quantifier(set(std::move(any)));
    }
    case U'\\': return read_escaped(in_lookaround);
    default: break;
    }
    ++at_;
    return read_quantifier(single(c));
}

pattern_parser::node_id pattern_parser::read_group(bool in_lookaround) {
    ++at_;
    std::size_t number = 0;
    if (!in_lookaround) {
        number = ++groups_;
        closed_.resize(groups_ + 1);
    }
    const auto inside = read_alternatives(true, in_lookaround);
    if (!in_lookaround) closed_[number] = true;
    return inside;
}

/// Of what begins with (?: nothing for a group that is only not captured, whose inside is read next.
std::optional<pattern_parser::node_id> pattern_parser::read_lookaround() {
    if (eat(U"(?:")) return std::nullopt;
    if (!eat(U"(?=") && !eat(U"(?!") && !eat(U"(?<=") && !eat(U"(?<!"))
        refuse_pattern("one of ':', '=', '!', '<=', '<!' and '#' after (?");
    not_evaluated("a lookahead or lookbehind constraint");
    return read_alternatives(true, true);
}

pattern_parser::node_id pattern_parser::read_quantifier(node_id atom) {
    unsigned least = 1, most = 1;
    const char32_t c = peek();
    if (c == U'*' || c == U'+' || c == U'?') {
        ++at_;
        least = c == U'+';
        most = c == U'?' ? 1 : no_limit;
    } else if (c == U'{' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1])) {
        ++at_;
        least = most = read_count();
        if (eat(U",")) most = !ends() && is_digit(text_[at_]) ? read_count() : no_limit;
        if (least > most) refuse_pattern("the smaller count first in {}");
        if (!eat(U"}")) refuse_pattern("a '}' after the counts in {}");
    } else {
        return atom;
    }
    eat(U"?"); // whether it prefers a shorter match does not matter to whether there is one
    return add({.what = node::kind::repeat, .least = least, .most = most, .children = {atom}});
}

unsigned pattern_parser::read_count() {
    constexpr unsigned most = 255;
    unsigned count = 0;
    for (; !ends() && is_digit(text_[at_]) && count < most; ++at_)
        count = count * 10 + (text_[at_] - U'0');
    if (count > most || (!ends() && is_digit(text_[at_]))) refuse_pattern("a count in {} of 255 at most");
    return count;
}

// --- escapes ---------------------------------------------------------------------------------------------------------

pattern_parser::escape pattern_parser::read_escape() {
    using kind = escape::kind;
    using enum pattern_step::condition;
    ++at_;
    if (ends()) refuse_pattern("something after the backslash that the pattern ends with");
    const char32_t c = text_[at_++];
    if (!is_ascii_letter(c) && !is_digit(c)) return {kind::character, c};
    switch (c) {
    case U'a': return {kind::character, U'\a'};
    case U'A': return {.what = kind::constraint, .where = text_start};
    case U'b': return {kind::character, U'\b'};
    case U'B': return {kind::character, U'\\'};
    case U'c':
        if (ends()) refuse_pattern("a character after \\c");
        return {kind::character, text_[at_++] & 037U};
    case U'd': return {.what = kind::in_class, .name = "digit"};
    case U'D': return {.what = kind::not_in_class, .name = "digit"};
    case U'e': return {kind::character, 033};
    case U'f': return {kind::character, U'\f'};
    case U'm': return {.what = kind::constraint, .where = word_start};
    case U'M': return {.what = kind::constraint, .where = word_end};
    case U'n': return {kind::character, U'\n'};
    case U'r': return {kind::character, U'\r'};
    case U's': return {.what = kind::in_class, .name = "space"};
    case U'S': return {.what = kind::not_in_class, .name = "space"};
    case U't': return {kind::character, U'\t'};
    case U'u': return {kind::character, read_code(16, 4, 4)};
    case U'U': return {kind::character, read_code(16, 8, 8)};
    case U'v': return {kind::character, U'\v'};
    case U'w': return {.what = kind::in_class, .name = "word"};
    case U'W': return {.what = kind::not_in_class, .name = "word"};
    case U'x': return {kind::character, read_code(16, 1, 255)};
    case U'y': return {.what = kind::constraint, .where = word_boundary};
    case U'Y': return {.what = kind::constraint, .where = no_word_boundary};
    case U'Z': return {.what = kind::constraint, .where = text_end};
    default: break;
    }
    if (is_digit(c)) return read_number_escape();
    refuse_pattern("a known letter after a backslash");
}

/// One digit, or the number of a group there is, is a back reference; what else begins with a digit is octal.
pattern_parser::escape pattern_parser::read_number_escape() {
    const auto first = at_ - 1;
    at_ = first;
    if (text_[first] != U'0') {
        const auto number = read_code(10, 1, 255);
        if (at_ == first + 1 || (number > 0 && number <= groups_))
            return {.what = escape::kind::reference, .character = number};
        at_ = first;
    }
    auto code = read_code(8, 1, 3);
    if (code > 0xFF) {
        --at_;
        code >>= 3;
    }
    return {escape::kind::character, code};
}

char32_t pattern_parser::read_code(unsigned base, std::size_t least, std::size_t most) {
    std::uint32_t code = 0;
    std::size_t length = 0;
    for (; length < most && !ends(); ++length, ++at_) {
        const int digit = digit_value(text_[at_]);
        if (digit >= static_cast<int>(base)) break;
        code = code * base + static_cast<std::uint32_t>(digit);
    }
    constexpr std::uint32_t most_code = 0x7FFFFFFE;
    if (length < least || (base == 16 && code > most_code))
        refuse_pattern("enough digits after a backslash, and not too many");
    return code;
}

pattern_parser::node_id pattern_parser::read_escaped(bool in_lookaround) {
    using kind = escape::kind;
    const auto read = read_escape();
    switch (read.what) {
    case kind::character: return read_quantifier(single(read.character));
    case kind::constraint:
        return read.where == pattern_step::condition::text_start ||
                       read.where == pattern_step::condition::text_end
                   ? check(read.where)
                   : word_check(read.where);
    case kind::reference:
        if (in_lookaround || read.character >= closed_.size() || !closed_[read.character])
            refuse_pattern("a back reference to a group that is complete");
        not_evaluated("a back reference");
        return read_quantifier(add({}));
    case kind::in_class:
    case kind::not_in_class: break;
    }
    character_set members;
    add_class(members, read.name, read.what == kind::not_in_class);
    return read_quantifier(set(std::move(members)));
}

// --- brackets --------------------------------------------------------------------------------------------------------

void pattern_parser::add_class(character_set& members, std::string_view name, bool complement) {
    result_.asks_for_classes_ = true;
    if (result_.ignore_case_ && (name == "lower" || name == "upper")) name = "alpha";
    char32_t next = 0;
    const auto ranges = class_named(name).ascii;
    for (std::size_t i = 0; i < ranges.size(); i += 2) {
        const auto first = static_cast<unsigned char>(ranges[i]);
        const auto last = static_cast<unsigned char>(ranges[i + 1]);
        if (!complement) members.add(first, last);
        if (complement && first > next) members.add(next, first - 1U);
        next = std::max<char32_t>(next, last + 1U);
    }
    if (complement) members.add(next, last_character);
}

pattern_parser::node_id pattern_parser::read_bracket() {
    ++at_;
    character_set members;
    members.negated = eat(U"^");
    bool first = true;
    while (first || !at(U"]")) {
        if (ends()) refuse_pattern("a ']' for each '['");
        read_bracket_part(members, first);
        first = false;
    }
    ++at_;
    if (members.negated && !dot_all_) members.add(U'\n', U'\n');
    return set(std::move(members));
}

void pattern_parser::read_bracket_part(character_set& members, bool first) {
    if (!first && at(U"-") && !at(U"-]")) refuse_pattern("ranges that do not share an end");
    if (at(U"[:")) {
        const auto name = read_name(U":]", "a name in [: :]");
        return add_class(members, name, false);
    }
    if (at(U"[=")) {
        read_name(U"=]", "a character in [= =]");
        return not_evaluated("an equivalence class");
    }
    const auto begin = read_bracket_end();
    if (begin.what == escape::kind::in_class || begin.what == escape::kind::not_in_class)
        return add_class(members, begin.name, begin.what == escape::kind::not_in_class);
    if (!at(U"-") || at(U"-]")) return add_range(members, begin.character, begin.character);
    ++at_;
    if (ends()) refuse_pattern("a ']' for each '['");
    if (at(U"[:") || at(U"[=")) refuse_pattern("a character as the end of a range");
    const auto end = read_bracket_end();
    if (end.what != escape::kind::character) refuse_pattern("a character as the end of a range");
    if (begin.character > end.character) refuse_pattern("a range's smaller end first");
    add_range(members, begin.character, end.character);
}

/// A character, as itself or escaped or as a collating element, or a class by its escape.
pattern_parser::escape pattern_parser::read_bracket_end() {
    if (at(U"[.")) {
        const auto name = read_name(U".]", "a character in [. .]");
        if (name.size() > 1) not_evaluated("a collating element");
        return {escape::kind::character, static_cast<unsigned char>(name.front())};
    }
    if (!at(U"\\")) return {escape::kind::character, text_[at_++]};
    auto read = read_escape();
    if (read.what == escape::kind::constraint || read.what == escape::kind::reference)
        refuse_pattern("a character or a class as what is escaped in []");
    return read;
}

/// What stands between the two characters at the current place and `end`. No name that is known has characters beyond
/// ASCII.
std::string pattern_parser::read_name(std::u32string_view end, std::string_view wanted) {
    at_ += 2;
    const auto last = text_.find(end, at_);
    if (last == std::u32string::npos) refuse_pattern("a ']' for each '['");
    std::string name;
    for (; at_ < last; ++at_)
        name += text_[at_] < 0x80 ? static_cast<char>(text_[at_]) : '\x7F';
    at_ += 2;
    if (name.empty()) refuse_pattern(std::string(wanted));
    if (name == "\x7F") not_evaluated("a collating element");
    return name;
}

void pattern_parser::add_range(character_set& members, char32_t first, char32_t last) {
    // Which of them are the same but for their case is the collation's matter.
    if (result_.ignore_case_ && last > 0x7F) not_evaluated("the case of characters beyond ASCII");
    members.add(first, last);
}

// --- the tree, and the machine made of it ----------------------------------------------------------------------------

pattern_parser::node_id pattern_parser::add(node made) {
    nodes_.push_back(std::move(made));
    return nodes_.size() - 1;
}

pattern_parser::node_id pattern_parser::set(character_set members) {
    result_.sets_.push_back(std::move(members));
    return add({.what = node::kind::set, .set = static_cast<std::uint32_t>(result_.sets_.size() - 1)});
}

pattern_parser::node_id pattern_parser::single(char32_t c) {
    character_set members;
    add_range(members, c, c);
    return set(std::move(members));
}

pattern_parser::node_id pattern_parser::check(pattern_step::condition where) {
    return add({.what = node::kind::check, .where = where});
}

pattern_parser::node_id pattern_parser::word_check(pattern_step::condition where) {
    result_.asks_for_classes_ = true;
    return check(where);
}

std::uint32_t pattern_parser::next_step() const noexcept {
    return static_cast<std::uint32_t>(result_.steps_.size());
}

/// Appends the steps of a node, which go on behind themselves; false if they become too many.
bool pattern_parser::write(node_id id) {
    using step = pattern_step::kind;
    auto& steps = result_.steps_;
    if (++written_ > 2 * pattern::max_steps || steps.size() > pattern::max_steps) return false;
    const auto& what = nodes_[id];
    switch (what.what) {
    case node::kind::set:
        steps.push_back({.what = step::test, .first = what.set, .second = next_step() + 1});
        return true;
    case node::kind::check:
        steps.push_back({.what = step::check, .where = what.where, .first = next_step() + 1});
        return true;
    case node::kind::sequence:
        return std::all_of(what.children.begin(), what.children.end(),
                           [&](node_id child) { return write(child); });
    case node::kind::choice: return write_choice(what);
    case node::kind::repeat: return write_repeat(what);
    }
    return false;
}

bool pattern_parser::write_choice(const node& what) {
    using step = pattern_step::kind;
    auto& steps = result_.steps_;
    std::vector<std::uint32_t> ends;
    for (std::size_t i = 0; i < what.children.size(); ++i) {
        const auto fork = next_step();
        const bool last = i + 1 == what.children.size();
        if (!last) steps.push_back({.what = step::either, .first = fork + 1});
        if (!write(what.children[i])) return false;
        if (last) break;
        ends.push_back(next_step());
        steps.push_back({.what = step::either});
        steps[fork].second = next_step();
    }
    for (const auto end : ends)
        steps[end].first = steps[end].second = next_step();
    return true;
}

bool pattern_parser::write_repeat(const node& what) {
    using step = pattern_step::kind;
    auto& steps = result_.steps_;
    const auto child = what.children.front();
    for (unsigned i = 0; i < what.least; ++i)
        if (!write(child)) return false;
    if (what.most == no_limit) {
        const auto fork = next_step();
        steps.push_back({.what = step::either, .first = fork + 1});
        if (!write(child)) return false;
        steps.push_back({.what = step::either, .first = fork, .second = fork});
        steps[fork].second = next_step();
        return true;
    }
    std::vector<std::uint32_t> forks;
    for (unsigned i = what.least; i < what.most; ++i) {
        forks.push_back(next_step());
        steps.push_back({.what = step::either, .first = next_step() + 1});
        if (!write(child)) return false;
    }
    for (const auto fork : forks)
        steps[fork].second = next_step();
    return true;
}

} // namespace pgstate::store
