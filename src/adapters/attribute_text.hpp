#ifndef PGSTATE_ADAPTERS_ATTRIBUTE_TEXT_HPP
#define PGSTATE_ADAPTERS_ATTRIBUTE_TEXT_HPP

#include "pgstate/attribute.hpp"

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgstate::adapters {

inline std::string_view text_of(bool value) {
    return value ? "true" : "false";
}
inline std::string_view text_of(std::string_view value) {
    return value;
}
inline std::string text_of(std::int64_t value) {
    return std::to_string(value);
}
/// The shortest text that reads as the same number.
inline std::string text_of(double value) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    return {digits, end};
}

/// Calls `use` with the value as text.
template <class Use>
void with_text(const attribute_value& value, Use use) {
    std::visit([&](const auto& held) { use(std::string_view(text_of(held))); }, value);
}

} // namespace pgstate::adapters

#endif
