#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace pgstate::settings {

/// Reads a duration in Go's syntax, which pgxpool's connection strings use: "1h30m", "1.5h", "500ms", "0". Rounded up
/// to whole milliseconds, so that a short duration never becomes none. Nothing if malformed, negative or longer than
/// Go's own limit of 292 years.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

} // namespace pgstate::settings
