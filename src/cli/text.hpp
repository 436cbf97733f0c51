#ifndef PGSTATE_CLI_TEXT_HPP
#define PGSTATE_CLI_TEXT_HPP

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace pgstate::cli {

/// A number and one of ms, s, m, h, d; seconds without one. Nothing for anything else, and for what no duration holds.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// `text` with control characters and backslashes escaped as in C, so that it can neither break a line or a column nor
/// command the terminal.
std::string printable(std::string_view text);

/// 1234567 as "1,234,567".
std::string grouped(std::int64_t number);

} // namespace pgstate::cli

#endif
