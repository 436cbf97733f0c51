#include "store/jsonpath_parser.hpp"

#include <array>
#include <charconv>
#include <utility>

namespace pgstate::store {
namespace {

struct named_kind {
    std::string_view name;
    path_node::kind what;
};

constexpr auto comparisons = std::to_array<named_kind>({
    {"==", path_node::kind::equal},
    {"!=", path_node::kind::not_equal},
    {"<", path_node::kind::less},
    {"<=", path_node::kind::less_or_equal},
    {">", path_node::kind::greater},
    {">=", path_node::kind::greater_or_equal},
});

constexpr auto evaluated_methods = std::to_array<named_kind>({
    {"abs", path_node::kind::abs},
    {"size", path_node::kind::size},
    {"type", path_node::kind::type},
    {"floor", path_node::kind::floor},
    {"double", path_node::kind::to_double},
    {"ceiling", path_node::kind::ceiling},
    {"keyvalue", path_node::kind::keyvalue},
});

constexpr auto parsed_methods =
    std::to_array<std::string_view>({"datetime", "bigint", "boolean", "date", "decimal", "integer", "number",
                                     "string", "time", "time_tz", "timestamp", "timestamp_tz"});

std::optional<path_node::kind> kind_of(const auto& table, std::string_view name) {
    for (const auto& row : table)
        if (row.name == name) return row.what;
    return std::nullopt;
}

bool is_method(std::string_view keyword) {
    for (const auto name : parsed_methods)
        if (name == keyword) return true;
    return kind_of(evaluated_methods, keyword).has_value();
}

} // namespace

class jsonpath_parser::nesting {
public:
    explicit nesting(jsonpath_parser& parser) : parser_(parser) {
        if (++parser_.depth_ > max_depth) parser_.refuse_depth();
    }
    nesting(const nesting&) = delete;
    nesting& operator=(const nesting&) = delete;
    ~nesting() { --parser_.depth_; }

private:
    jsonpath_parser& parser_;
};

jsonpath_parser::jsonpath_parser(std::string_view text) : scanner_(text) {}

path_tree jsonpath_parser::run() {
    advance();
    if (eat_keyword("strict"))
        tree_.lax = false;
    else
        eat_keyword("lax");
    tree_.top = parse_any_of().node;
    if (token_.what != path_token::kind::end) refuse("an operator, an accessor or the end");
    if (variable_)
        throw path_fault{path_fault::kind::variable,
                         {*variable_, "something else than a variable, as none is given"}};
    return std::move(tree_);
}

// --- tokens ----------------------------------------------------------------------------------------------------------

void jsonpath_parser::advance() {
    token_ = scanner_.next();
}

bool jsonpath_parser::eat(std::string_view symbol) {
    if (!token_.is(symbol)) return false;
    advance();
    return true;
}

bool jsonpath_parser::eat_keyword(std::string_view name) {
    if (!token_.is_keyword(name)) return false;
    advance();
    return true;
}

void jsonpath_parser::expect(std::string_view symbol, std::string_view what) {
    if (!eat(symbol)) refuse(what);
}

void jsonpath_parser::refuse(std::string_view expected) const {
    throw path_fault{path_fault::kind::syntax, {token_.offset, std::string(expected)}};
}

void jsonpath_parser::refuse_depth() const {
    throw path_fault{path_fault::kind::too_deep,
                     {token_.offset, "a path with at most " + std::to_string(max_depth) +
                                         " levels of nesting, and as many steps or operators in a row"}};
}

void jsonpath_parser::not_evaluated(std::size_t offset, std::string what) {
    if (!tree_.not_evaluated) tree_.not_evaluated = path_place{offset, std::move(what)};
}

path_node::id jsonpath_parser::add(kind what, std::size_t offset, std::vector<id> children) {
    tree_.nodes.push_back({.what = what, .offset = offset, .children = std::move(children)});
    return tree_.nodes.size() - 1;
}

// --- predicates ------------------------------------------------------------------------------------------------------

jsonpath_parser::parsed jsonpath_parser::parse_any_of() {
    auto first = parse_all_of();
    if (!token_.is("||")) return first;
    if (!first.predicate) refuse("a comparison before ||");
    const auto node = add(kind::any_of, token_.offset, {first.node});
    while (eat("||")) {
        const auto other = parse_all_of();
        if (!other.predicate) refuse("a predicate after ||");
        tree_.nodes[node].children.push_back(other.node);
    }
    return {node, true};
}

jsonpath_parser::parsed jsonpath_parser::parse_all_of() {
    auto first = parse_condition();
    if (!token_.is("&&")) return first;
    if (!first.predicate) refuse("a comparison before &&");
    const auto node = add(kind::all_of, token_.offset, {first.node});
    while (eat("&&")) {
        const auto other = parse_condition();
        if (!other.predicate) refuse("a predicate after &&");
        tree_.nodes[node].children.push_back(other.node);
    }
    return {node, true};
}

jsonpath_parser::parsed jsonpath_parser::parse_condition() {
    if (token_.is("!")) return {parse_negation(), true};
    if (token_.is_keyword("exists")) return {parse_exists(), true};
    const auto left = parse_sum();
    if (!left.predicate) return parse_comparison(left.node);
    const auto offset = token_.offset;
    if (!eat_keyword("is")) return left;
    if (!eat_keyword("unknown")) refuse("unknown, after is");
    return {add(kind::is_unknown, offset, {left.node}), true};
}

jsonpath_parser::parsed jsonpath_parser::parse_comparison(id left) {
    const auto offset = token_.offset;
    if (token_.is_keyword("starts")) return {parse_starts_with(left), true};
    if (token_.is_keyword("like_regex")) return {parse_like_regex(left), true};
    if (token_.what != path_token::kind::symbol) return {left, false};
    const auto comparison = kind_of(comparisons, token_.text);
    if (!comparison) return {left, false};
    advance();
    const auto right = parse_expression();
    return {add(*comparison, offset, {left, right}), true};
}

path_node::id jsonpath_parser::parse_predicate() {
    const auto inside = parse_any_of();
    if (!inside.predicate) refuse("a comparison, like_regex or starts with");
    return inside.node;
}

path_node::id jsonpath_parser::parse_negation() {
    const nesting level(*this);
    const auto offset = token_.offset;
    advance();
    if (token_.is_keyword("exists")) return add(kind::negation, offset, {parse_exists()});
    expect("(", "a predicate in parentheses, or exists, after !");
    const auto inside = parse_predicate();
    expect(")", "a ')'");
    return add(kind::negation, offset, {inside});
}

path_node::id jsonpath_parser::parse_exists() {
    const nesting level(*this);
    const auto offset = token_.offset;
    advance();
    expect("(", "a '(' after exists");
    const auto inside = parse_expression();
    expect(")", "a ')'");
    return add(kind::exists, offset, {inside});
}

path_node::id jsonpath_parser::parse_starts_with(id left) {
    const auto offset = token_.offset;
    advance();
    if (!eat_keyword("with")) refuse("with, after starts");
    if (token_.what != path_token::kind::string && token_.what != path_token::kind::variable)
        refuse("a string after starts with");
    const auto right = parse_literal();
    return add(kind::starts_with, offset, {left, right});
}

path_node::id jsonpath_parser::parse_like_regex(id left) {
    const auto offset = token_.offset;
    advance();
    if (token_.what != path_token::kind::string) refuse("a string after like_regex");
    const auto text = std::move(token_.text);
    const auto pattern_offset = token_.offset;
    advance();
    const auto flags = parse_flags(pattern_offset);
    try {
        tree_.patterns.push_back(pattern::parse(text, flags));
    } catch (const pattern_fault& fault) {
        throw path_fault{path_fault::kind::syntax, {pattern_offset, "a pattern with " + fault.what}};
    }
    const auto& made = tree_.patterns.back();
    if (!made.not_evaluated().empty())
        not_evaluated(pattern_offset, "like_regex with " + made.not_evaluated());
    const auto node = add(kind::like_regex, offset, {left});
    tree_.nodes[node].pattern = tree_.patterns.size() - 1;
    return node;
}

pattern_flags jsonpath_parser::parse_flags(std::size_t pattern_offset) {
    pattern_flags flags;
    if (!eat_keyword("flag")) return flags;
    if (token_.what != path_token::kind::string) refuse("a string after flag");
    bool expanded = false;
    for (const char flag : token_.text) {
        switch (flag) {
        case 'i': flags.ignore_case = true; break;
        case 's': flags.dot_all = true; break;
        case 'm': flags.multiline = true; break;
        case 'q': flags.literal = true; break;
        case 'x': expanded = true; break;
        default: refuse("only the flags i, m, q and s");
        }
    }
    if (expanded && !flags.literal)
        throw path_fault{path_fault::kind::syntax,
                         {pattern_offset, "a pattern without the flag x, which PostgreSQL does not have"}};
    advance();
    return flags;
}

// --- expressions -----------------------------------------------------------------------------------------------------

path_node::id jsonpath_parser::parse_expression() {
    const auto sum = parse_sum();
    if (sum.predicate) refuse("an accessor after a predicate, where a value is wanted");
    return sum.node;
}

jsonpath_parser::parsed jsonpath_parser::parse_sum() {
    auto left = parse_product();
    for (std::size_t count = 0; token_.is("+") || token_.is("-"); ++count) {
        if (left.predicate) refuse("an accessor after a predicate, where a value is wanted");
        if (count == max_depth) refuse_depth();
        const auto what = token_.is("+") ? kind::add : kind::subtract;
        const auto offset = token_.offset;
        advance();
        const auto right = parse_product();
        if (right.predicate) refuse("an accessor after a predicate, where a value is wanted");
        left.node = add(what, offset, {left.node, right.node});
    }
    return left;
}

jsonpath_parser::parsed jsonpath_parser::parse_product() {
    auto left = parse_signed();
    for (std::size_t count = 0; token_.is("*") || token_.is("/") || token_.is("%"); ++count) {
        if (left.predicate) refuse("an accessor after a predicate, where a value is wanted");
        if (count == max_depth) refuse_depth();
        const auto what = token_.is("*") ? kind::multiply : token_.is("/") ? kind::divide : kind::modulo;
        const auto offset = token_.offset;
        advance();
        const auto right = parse_signed();
        if (right.predicate) refuse("an accessor after a predicate, where a value is wanted");
        left.node = add(what, offset, {left.node, right.node});
    }
    return left;
}

jsonpath_parser::parsed jsonpath_parser::parse_signed() {
    if (!token_.is("+") && !token_.is("-")) return parse_path();
    const nesting level(*this);
    const auto what = token_.is("+") ? kind::plus : kind::minus;
    const auto offset = token_.offset;
    advance();
    const auto operand = parse_signed();
    if (operand.predicate) refuse("an accessor after a predicate, where a value is wanted");
    return {add(what, offset, {operand.node}), false};
}

jsonpath_parser::parsed jsonpath_parser::parse_path() {
    if (!token_.is("(")) {
        const auto head = parse_beginning();
        parse_accessors(head);
        return {head, false};
    }
    const nesting level(*this);
    advance();
    const auto inside = parse_any_of();
    expect(")", "an operator or a ')'");
    if (!token_.is(".") && !token_.is("[") && !token_.is("?")) return inside;
    parse_accessors(inside.node);
    return {inside.node, false};
}

path_node::id jsonpath_parser::parse_beginning() {
    const auto offset = token_.offset;
    if (eat("$")) return add(kind::root, offset);
    if (token_.is("@")) {
        if (filters_ == 0) refuse("something else than @, which stands for an item in a filter only");
        advance();
        return add(kind::current, offset);
    }
    if (token_.is_keyword("last")) {
        if (subscripts_ == 0) refuse("something else than last, which is for array subscripts only");
        advance();
        return add(kind::last, offset);
    }
    return parse_literal();
}

path_node::id jsonpath_parser::parse_literal() {
    const auto offset = token_.offset;
    switch (token_.what) {
    case path_token::kind::string: {
        const auto node = add(kind::string, offset);
        tree_.nodes[node].text = std::move(token_.text);
        advance();
        return node;
    }
    case path_token::kind::variable:
        if (!variable_) variable_ = offset;
        advance();
        return add(kind::null, offset);
    case path_token::kind::integer:
    case path_token::kind::decimal: return parse_number();
    default: break;
    }
    if (eat_keyword("null")) return add(kind::null, offset);
    const bool truth = token_.is_keyword("true");
    if (!truth && !token_.is_keyword("false")) refuse("$, @, a literal, a sign or a '('");
    advance();
    const auto node = add(kind::boolean, offset);
    tree_.nodes[node].truth = truth;
    return node;
}

path_node::id jsonpath_parser::parse_number() {
    if (!numeric_holds(token_.text)) refuse("a number that PostgreSQL's numeric can hold");
    const auto node = add(kind::number, token_.offset);
    try {
        tree_.nodes[node].value = numeric::parse(token_.text);
    } catch (const numeric::too_long&) {
        not_evaluated(token_.offset,
                      "a number of more than " + std::to_string(numeric::max_digits) + " digits");
    }
    advance();
    return node;
}

// --- accessors -------------------------------------------------------------------------------------------------------

void jsonpath_parser::parse_accessors(id head) {
    std::size_t count = 0;
    auto end = head;
    for (; tree_.nodes[end].next != path_node::none; ++count)
        end = tree_.nodes[end].next;
    while (const auto step = parse_accessor()) {
        if (++count > max_depth) refuse_depth();
        tree_.nodes[end].next = *step;
        end = *step;
    }
}

std::optional<path_node::id> jsonpath_parser::parse_accessor() {
    if (token_.is(".")) return parse_member();
    if (token_.is("[")) return parse_subscripts();
    if (token_.is("?")) return parse_filter();
    return std::nullopt;
}

path_node::id jsonpath_parser::parse_member() {
    advance();
    const auto offset = token_.offset;
    if (eat("*")) return add(kind::any_key, offset);
    if (token_.is("**")) return parse_any_level(offset);
    if (token_.what != path_token::kind::name && token_.what != path_token::kind::string)
        refuse("a key, *, ** or a method after the '.'");
    auto name = std::move(token_);
    advance();
    if (token_.is("(") && is_method(name.keyword)) return parse_method(name);
    const auto node = add(kind::key, offset);
    tree_.nodes[node].text = std::move(name.text);
    return node;
}

path_node::id jsonpath_parser::parse_any_level(std::size_t offset) {
    advance();
    const auto node = add(kind::any_level, offset);
    tree_.nodes[node].end_level = path_node::last_level;
    if (!eat("{")) return node;
    const auto first = parse_level();
    const auto end = eat_keyword("to") ? parse_level() : first;
    tree_.nodes[node].first_level = first;
    tree_.nodes[node].end_level = end;
    expect("}", "to, or a '}'");
    return node;
}

std::uint32_t jsonpath_parser::parse_level() {
    if (eat_keyword("last")) return path_node::last_level;
    if (token_.what != path_token::kind::integer) refuse("a level, or last, in the braces after **");
    std::optional<std::int32_t> level;
    try {
        level = numeric::parse(token_.text).to_int32();
    } catch (const numeric::too_long&) {
        // no level either
    }
    if (!level) refuse("a level that is a 32-bit integer");
    advance();
    return static_cast<std::uint32_t>(*level);
}

path_node::id jsonpath_parser::parse_subscripts() {
    const nesting level(*this);
    const auto offset = token_.offset;
    advance();
    if (eat("*")) {
        expect("]", "a ']'");
        return add(kind::any_element, offset);
    }
    ++subscripts_;
    std::vector<id> ranges;
    do {
        ranges.push_back(parse_expression());
        ranges.push_back(eat_keyword("to") ? parse_expression() : path_node::none);
    } while (eat(","));
    --subscripts_;
    expect("]", "an operator, to, a ',' or a ']'");
    return add(kind::subscripts, offset, std::move(ranges));
}

path_node::id jsonpath_parser::parse_filter() {
    const nesting level(*this);
    const auto offset = token_.offset;
    advance();
    expect("(", "a '(' after the '?' of a filter");
    ++filters_;
    const auto condition = parse_predicate();
    --filters_;
    expect(")", "an operator or a ')'");
    return add(kind::filter, offset, {condition});
}

path_node::id jsonpath_parser::parse_method(const path_token& name) {
    advance();
    if (const auto method = kind_of(evaluated_methods, name.keyword)) {
        expect(")", "a ')', as the method has no arguments");
        return add(*method, name.offset);
    }
    parse_arguments(name.keyword);
    expect(")", "a ')' after the method's arguments");
    not_evaluated(name.offset, "the method ." + std::string(name.keyword) + "()");
    return add(kind::not_evaluated, name.offset);
}

void jsonpath_parser::parse_arguments(std::string_view method) {
    if (method == "datetime") {
        if (token_.what == path_token::kind::string) advance();
    } else if (method == "decimal") {
        parse_precision_and_scale();
    } else if (method.starts_with("time")) {
        if (token_.what == path_token::kind::integer) advance();
    }
}

void jsonpath_parser::parse_precision_and_scale() {
    if (token_.is(")")) return;
    std::size_t count = 0;
    do {
        if (!eat("+")) eat("-");
        if (token_.what != path_token::kind::integer || ++count > 2)
            refuse("a precision and a scale at most as the method's arguments");
        advance();
    } while (eat(","));
}

} // namespace pgstate::store
