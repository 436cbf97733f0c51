#ifndef PGSTATE_CLI_JSON_TEXT_HPP
#define PGSTATE_CLI_JSON_TEXT_HPP

#include <string>
#include <string_view>

namespace pgstate::cli {

// These lay out JSON that is valid, token by token: numbers and strings stay as they are, to the byte.

/// Appends `json` without white space between its tokens.
void append_compact(std::string& out, std::string_view json);

/// Indented by two spaces; with ANSI colours where `colored`.
std::string pretty(std::string_view json, bool colored);

} // namespace pgstate::cli

#endif
