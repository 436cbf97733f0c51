#include "store/jsonpath_item.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>
#include <utility>

namespace pgstate::store {
namespace {

std::string_view path_text(const boost::json::string& text) {
    return {text.data(), text.size()};
}

path_item server_only_number() {
    return {.what = path_item::kind::number, .server_only = true};
}

constexpr std::string_view spaces = " \t\n\v\f\r";

std::string_view without_spaces(std::string_view text) {
    const auto begin = text.find_first_not_of(spaces);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(spaces) - begin + 1);
}

} // namespace

path_item item_of(const boost::json::value& value) {
    using kind = path_item::kind;
    switch (value.kind()) {
    case boost::json::kind::null: return {};
    case boost::json::kind::bool_: return item_of(value.get_bool());
    case boost::json::kind::string: return item_of(path_text(value.get_string()));
    case boost::json::kind::array: return {.what = kind::array, .value = &value};
    case boost::json::kind::object: return {.what = kind::object, .value = &value};
    default: return {.what = kind::number, .value = &value};
    }
}

path_item item_of(bool truth) {
    return {.what = path_item::kind::boolean, .truth = truth};
}

path_item item_of(std::string_view text) {
    return {.what = path_item::kind::string, .text = text};
}

path_item item_of(numeric number) {
    return {.what = path_item::kind::number, .number = std::make_shared<const numeric>(std::move(number))};
}

std::string_view type_name(const path_item& item) noexcept {
    switch (item.what) {
    case path_item::kind::null: return "null";
    case path_item::kind::boolean: return "boolean";
    case path_item::kind::number: return "number";
    case path_item::kind::string: return "string";
    case path_item::kind::array: return "array";
    case path_item::kind::object: return "object";
    }
    return {};
}

std::optional<path_item> member_of(const path_item& object, std::string_view key) {
    if (!object.pair) {
        const auto* value = object.value->get_object().if_contains(key);
        return value ? std::optional(item_of(*value)) : std::nullopt;
    }
    if (key == "key") return item_of(object.pair->key);
    if (key == "value") return object.pair->value;
    if (key == "id") return server_only_number();
    return std::nullopt;
}

std::vector<path_member> members_of(const path_item& object) {
    if (object.pair)
        return {
            {"id", server_only_number()}, {"key", item_of(object.pair->key)}, {"value", object.pair->value}};
    std::vector<path_member> members;
    for (const auto& member : object.value->get_object())
        members.push_back({{member.key().data(), member.key().size()}, item_of(member.value())});
    std::sort(members.begin(), members.end(), [](const path_member& a, const path_member& b) {
        return std::pair(a.key.size(), a.key) < std::pair(b.key.size(), b.key);
    });
    return members;
}

path_items children_of(const path_item& container) {
    path_items children;
    if (container.what == path_item::kind::array) {
        for (const auto& element : container.value->get_array())
            children.push_back(item_of(element));
    } else {
        for (auto& member : members_of(container))
            children.push_back(std::move(member.value));
    }
    return children;
}

/// As C's strtod in the locale "C" reads it, spaces around it allowed.
std::optional<double> read_float8(std::string_view text) {
    text = without_spaces(text);
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    if (hexadecimal) text.remove_prefix(2);
    // No second sign, no infinity and no NaN.
    if (text.empty() || (!hexadecimal && text[0] != '.' && (text[0] < '0' || text[0] > '9')))
        return std::nullopt;
    if (text[0] == '-') return std::nullopt;

    double value = 0;
    const char* end = text.data() + text.size();
    const auto [stopped, failure] = std::from_chars(
        text.data(), end, value, hexadecimal ? std::chars_format::hex : std::chars_format::general);
    if (failure != std::errc() || stopped != end || !std::isfinite(value)) return std::nullopt;
    const auto digits = text.substr(0, text.find_first_of(hexadecimal ? "pP" : "eE"));
    if (value == 0 && digits.find_first_not_of("0.") != std::string_view::npos) return std::nullopt;
    return negative ? -value : value;
}

} // namespace pgstate::store
