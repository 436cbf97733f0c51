#pragma once

#include "pgstate/attribute.hpp"

#include <charconv>
#include <string_view>
#include <type_traits>
#include <variant>

namespace pgstate::adapters {

/// Calls `use` with the value as text: of a double, the shortest that reads as the same number.
template <class Use>
void with_text(const attribute_value& value, Use use) {
    std::visit(
        [&]<class Held>(const Held& held) {
            char digits[32];
            if constexpr (std::is_same_v<Held, std::string_view>)
                use(held);
            else if constexpr (std::is_same_v<Held, bool>)
                use(std::string_view(held ? "true" : "false"));
            else
                use(std::string_view(digits, std::to_chars(digits, digits + sizeof digits, held).ptr));
        },
        value);
}

} // namespace pgstate::adapters
