#include "store/jsonpath_evaluation.hpp"
#include "store/jsonpath_evaluator.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <charconv>
#include <compare>
#include <utility>

// The methods, the arithmetic and the predicates of an evaluation.

namespace pgstate::store {
namespace {

/// Fifteen significant digits, as the server makes a numeric of a double.
numeric rounded_numeric(double value) {
    char text[64];
    const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::general, 15).ptr;
    return numeric::parse({text, static_cast<std::size_t>(end - text)});
}

bool satisfies(path_node::kind comparison, std::strong_ordering order) {
    switch (comparison) {
    case path_node::kind::equal: return order == 0;
    case path_node::kind::not_equal: return order != 0;
    case path_node::kind::less: return order < 0;
    case path_node::kind::less_or_equal: return order <= 0;
    case path_node::kind::greater: return order > 0;
    default: return order >= 0;
    }
}

jsonpath::truth truth_of(bool yes) {
    return yes ? jsonpath::truth::yes : jsonpath::truth::no;
}

} // namespace

// --- methods ---------------------------------------------------------------------------------------------------------

path_evaluation::outcome path_evaluation::execute_method(id at, const path_item& input, path_items* found,
                                                         bool unwrap) {
    const auto& step = path_.nodes[at];
    if (step.what == kind::type) return go_on(step, item_of(type_name(input)), found);
    if (step.what == kind::size) return execute_size(step, input, found);
    if (unwrap && input.what == path_item::kind::array) return for_each_element(at, input, found, false);
    if (step.what == kind::to_double) return execute_double(step, input, found);
    if (step.what == kind::keyvalue) return execute_keyvalue(step, input, found);
    return execute_rounding(step, input, found);
}

path_evaluation::outcome path_evaluation::execute_size(const path_node& step, const path_item& input,
                                                       path_items* found) {
    std::int64_t size = 1;
    if (input.what == path_item::kind::array)
        size = static_cast<std::int64_t>(input.value->get_array().size());
    else if (!path_.lax)
        return mismatch();
    return go_on(step, item_of(numeric(size)), found);
}

path_evaluation::outcome path_evaluation::execute_rounding(const path_node& step, const path_item& input,
                                                           path_items* found) {
    if (input.what != path_item::kind::number) return outcome::failed;
    if (step.next == path_node::none && !found) return outcome::found;
    const auto number = number_of(input, step.offset);
    return go_on(step,
                 item_of(step.what == kind::abs     ? number.abs()
                         : step.what == kind::floor ? number.floor()
                                                    : number.ceiling()),
                 found);
}

path_evaluation::outcome path_evaluation::execute_double(const path_node& step, const path_item& input,
                                                         path_items* found) {
    if (input.what == path_item::kind::number)
        return read_float8(number_of(input, step.offset).to_string()) ? go_on(step, input, found)
                                                                      : outcome::failed;
    if (input.what != path_item::kind::string) return outcome::failed;
    const auto value = read_float8(input.text);
    return value ? go_on(step, item_of(rounded_numeric(*value)), found) : outcome::failed;
}

path_evaluation::outcome path_evaluation::execute_keyvalue(const path_node& step, const path_item& input,
                                                           path_items* found) {
    if (input.what != path_item::kind::object) return outcome::failed;
    auto result = outcome::nothing;
    for (auto& [key, value] : members_of(input)) {
        const path_item pair{.what = path_item::kind::object,
                             .pair = std::make_shared<const path_pair>(path_pair{key, std::move(value)})};
        result = go_on(step, pair, found);
        if (result == outcome::failed || (result == outcome::found && !found)) break;
    }
    return result;
}

// --- arithmetic ------------------------------------------------------------------------------------------------------

/// The items that a step gives, with arrays as their elements where that is wanted and the path is lax; false for an
/// error.
bool path_evaluation::collect(id at, const path_item& input, bool unwrap_result, path_items& found) {
    if (!unwrap_result || !path_.lax) return execute(at, input, &found) != outcome::failed;
    path_items items;
    if (execute(at, input, &items) == outcome::failed) return false;
    for (auto& item : items) {
        if (item.what == path_item::kind::array)
            for_each_element(path_node::none, item, &found, false);
        else
            found.push_back(std::move(item));
    }
    return true;
}

std::optional<numeric> path_evaluation::calculate(const path_node& step, const path_item& left,
                                                  const path_item& right) {
    const auto a = number_of(left, step.offset), b = number_of(right, step.offset);
    try {
        switch (step.what) {
        case kind::add: return a + b;
        case kind::subtract: return a - b;
        case kind::multiply: return a * b;
        case kind::divide: return b.is_zero() ? std::nullopt : std::optional(a / b);
        default: return b.is_zero() ? std::nullopt : std::optional(a % b);
        }
    } catch (const numeric::too_long&) {
        not_evaluated(step.offset,
                      "a result of more than " + std::to_string(numeric::max_digits) + " digits");
    }
}

path_evaluation::outcome path_evaluation::execute_arithmetic(const path_node& step, const path_item& input,
                                                             path_items* found) {
    path_items left, right;
    if (!collect(step.children[0], input, true, left) || !collect(step.children[1], input, true, right))
        return outcome::failed;
    if (left.size() != 1 || left.front().what != path_item::kind::number) return outcome::failed;
    if (right.size() != 1 || right.front().what != path_item::kind::number) return outcome::failed;
    auto result = calculate(step, left.front(), right.front());
    return result ? go_on(step, item_of(std::move(*result)), found) : outcome::failed;
}

path_evaluation::outcome path_evaluation::execute_sign(const path_node& step, const path_item& input,
                                                       path_items* found) {
    path_items operands;
    if (!collect(step.children[0], input, true, operands)) return outcome::failed;
    const bool only_whether = step.next == path_node::none && !found;
    auto result = outcome::nothing;
    for (const auto& operand : operands) {
        if (operand.what != path_item::kind::number) {
            if (only_whether) continue;
            return outcome::failed;
        }
        if (only_whether) return outcome::found;
        const auto each = go_on(
            step, step.what == kind::minus ? item_of(-number_of(operand, step.offset)) : operand, found);
        if (each == outcome::failed) return each;
        if (each == outcome::found) result = each;
        if (each == outcome::found && !found) break;
    }
    return result;
}

// --- predicates ------------------------------------------------------------------------------------------------------

jsonpath::truth path_evaluation::condition(id at, const path_item& input) {
    const auto& step = path_.nodes[at];
    switch (step.what) {
    case kind::all_of: return all_of(step, input);
    case kind::any_of: return any_of(step, input);
    case kind::negation: {
        const auto inside = condition(step.children[0], input);
        return inside == truth::unknown ? inside : truth_of(inside == truth::no);
    }
    case kind::is_unknown: return truth_of(condition(step.children[0], input) == truth::unknown);
    case kind::exists: return exists(step, input);
    default: return predicate(step, input);
    }
}

jsonpath::truth path_evaluation::all_of(const path_node& step, const path_item& input) {
    auto result = truth::yes;
    for (const auto child : step.children) {
        const auto each = condition(child, input);
        if (each != truth::yes) result = each;
        if (result == truth::no) break;
    }
    return result;
}

jsonpath::truth path_evaluation::any_of(const path_node& step, const path_item& input) {
    auto result = truth::no;
    for (const auto child : step.children) {
        const auto each = condition(child, input);
        if (each != truth::no) result = each;
        if (result == truth::yes) break;
    }
    return result;
}

jsonpath::truth path_evaluation::exists(const path_node& step, const path_item& input) {
    if (path_.lax) {
        const auto result = execute(step.children[0], input, nullptr);
        return result == outcome::failed ? truth::unknown : truth_of(result == outcome::found);
    }
    path_items found; // a strict path must have all of them, to be sure that there is no error
    if (!collect(step.children[0], input, false, found)) return truth::unknown;
    return truth_of(!found.empty());
}

/// True of two sequences if it is of any pair: in a lax path of the first that is found, in a strict one only if it is
/// not unknown of any.
jsonpath::truth path_evaluation::predicate(const path_node& step, const path_item& input) {
    path_items left, right;
    if (!collect(step.children[0], input, true, left)) return truth::unknown;
    const bool binary = step.what != kind::like_regex;
    const bool unwraps_right = step.what != kind::starts_with;
    if (binary && !collect(step.children[1], input, unwraps_right, right)) return truth::unknown;

    auto result = truth::no;
    for (const auto& a : left) {
        for (std::size_t i = 0; i < (binary ? right.size() : 1); ++i) {
            const auto each = holds(step, a, binary ? &right[i] : nullptr);
            if (each == (path_.lax ? truth::yes : truth::unknown)) return each;
            if (each != truth::no) result = each;
        }
    }
    return result;
}

jsonpath::truth path_evaluation::holds(const path_node& step, const path_item& left, const path_item* right) {
    if (++steps_ > max_steps)
        not_evaluated(step.offset, "what takes more than " + std::to_string(max_steps) + " steps");
    if (!right) return matches_pattern(step, left);
    if (step.what != kind::starts_with) return compare(step, left, *right);
    if (left.what != path_item::kind::string || right->what != path_item::kind::string) return truth::unknown;
    return truth_of(left.text.starts_with(right->text));
}

jsonpath::truth path_evaluation::compare(const path_node& step, const path_item& left,
                                         const path_item& right) {
    if (left.is_container() && right.is_container()) return truth::unknown;
    if (left.what != right.what) {
        if (left.what != path_item::kind::null && right.what != path_item::kind::null) return truth::unknown;
        return truth_of(step.what == kind::not_equal);
    }
    auto order = std::strong_ordering::equal;
    switch (left.what) {
    case path_item::kind::boolean: order = left.truth <=> right.truth; break;
    case path_item::kind::number:
        order = number_of(left, step.offset) <=> number_of(right, step.offset);
        break;
    case path_item::kind::string:
        order = left.text.compare(right.text) <=> 0;
        break; // by bytes: by code points
    default: break;
    }
    return truth_of(satisfies(step.what, order));
}

jsonpath::truth path_evaluation::matches_pattern(const path_node& step, const path_item& item) {
    if (item.what != path_item::kind::string) return truth::unknown;
    const auto& wanted = path_.patterns[step.pattern];
    const auto found = wanted.search(item.text);
    if (!found) not_evaluated(step.offset, "like_regex with a class of characters beyond ASCII");
    return truth_of(*found);
}

} // namespace pgstate::store
