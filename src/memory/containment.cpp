#include "memory/containment.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <utility>

namespace pgstate::memory {
namespace {

namespace json = boost::json;

/// A double stands for the decimal number that it is written as. Below 1e21 an integral one is written in full, and one
/// with a fraction never as an integer: so it equals an integer exactly if their values are the same.
bool equals_integer(double number, std::integral auto integer) {
    using integer_type = decltype(integer);
    constexpr double end = std::signed_integral<integer_type> ? 0x1p63 : 0x1p64;
    constexpr double begin = std::signed_integral<integer_type> ? -0x1p63 : 0;
    if (number != std::trunc(number) || number < begin || number >= end) return false;
    return static_cast<integer_type>(number) == integer;
}

bool same_number(const json::value& a, const json::value& b) {
    if (a.is_double() && b.is_double()) return a.get_double() == b.get_double();
    if (b.is_double()) return same_number(b, a);
    if (a.is_double())
        return b.is_int64() ? equals_integer(a.get_double(), b.get_int64())
                            : equals_integer(a.get_double(), b.get_uint64());
    if (a.is_int64())
        return b.is_int64() ? a.get_int64() == b.get_int64() : std::cmp_equal(a.get_int64(), b.get_uint64());
    return b.is_int64() ? std::cmp_equal(a.get_uint64(), b.get_int64()) : a.get_uint64() == b.get_uint64();
}

bool has_members(const json::object& whole, const json::object& part);
bool has_elements(const json::array& whole, const json::array& part);

/// Inside of another value, where an array contains no primitive.
bool contains_nested(const json::value& whole, const json::value& part) {
    if (const auto* members = part.if_object())
        return whole.is_object() && has_members(whole.get_object(), *members);
    if (const auto* elements = part.if_array())
        return whole.is_array() && has_elements(whole.get_array(), *elements);
    return same_primitive(whole, part);
}

bool has_members(const json::object& whole, const json::object& part) {
    return whole.size() >= part.size() && std::all_of(part.begin(), part.end(), [&](const auto& member) {
               const auto* value = whole.if_contains(member.key());
               return value && contains_nested(*value, member.value());
           });
}

bool has_element(const json::array& whole, const json::value& part) {
    return std::any_of(whole.begin(), whole.end(),
                       [&](const json::value& element) { return contains_nested(element, part); });
}

bool has_elements(const json::array& whole, const json::array& part) {
    return std::all_of(part.begin(), part.end(),
                       [&](const json::value& element) { return has_element(whole, element); });
}

} // namespace

bool same_primitive(const json::value& a, const json::value& b) {
    if (a.is_number() && b.is_number()) return same_number(a, b);
    if (a.kind() != b.kind()) return false;
    switch (a.kind()) {
    case json::kind::null: return true;
    case json::kind::bool_: return a.get_bool() == b.get_bool();
    case json::kind::string: return a.get_string() == b.get_string();
    default: return false;
    }
}

bool contains(const json::value& whole, const json::value& part) {
    if (whole.is_array() && !part.is_structured()) return has_element(whole.get_array(), part);
    return contains_nested(whole, part);
}

} // namespace pgstate::memory
