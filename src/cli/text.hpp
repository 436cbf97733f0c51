#pragma once

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

// These lay out JSON that is valid, token by token: numbers and strings stay as they are, to the byte.

/// Appends `json` without white space between its tokens.
void append_compact(std::string& out, std::string_view json);

/// The same of the members of an object, `json` beginning behind its bracket: those named `name`, whose value is a single
/// token, get `value`, which is JSON as well.
void append_members(std::string& out, std::string_view json, std::string_view name, std::string_view value);

/// Indented by two spaces; with ANSI colours where `colored`.
std::string pretty(std::string_view json, bool colored);

} // namespace pgstate::cli
