#pragma once

#include <charconv>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>

namespace pgstate::settings {

/// Reads decimal digits, at least one and nothing else. Nothing if there is more or 64 bits cannot hold it.
inline std::optional<std::uint64_t> parse_number(std::string_view text) {
    const char* end = std::to_address(text.end());
    std::uint64_t number = 0;
    const auto [stopped, failure] = std::from_chars(text.data(), end, number);
    if (failure != std::errc{} || stopped != end) return std::nullopt;
    return number;
}

} // namespace pgstate::settings
