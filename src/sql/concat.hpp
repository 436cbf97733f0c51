#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace pgstate::sql {

inline std::string concat(std::initializer_list<std::string_view> parts) {
    std::string whole;
    for (const auto each : parts)
        whole.append(each);
    return whole;
}

} // namespace pgstate::sql
