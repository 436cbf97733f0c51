#ifndef PGSTATE_STORE_RFC3339_HPP
#define PGSTATE_STORE_RFC3339_HPP

#include "pgstate/agent_state.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace pgstate::store {

/// Appends `when` as the Go SDK writes it: UTC with a "Z", the fraction without trailing zeros, none when it is zero.
/// False, and nothing appended, for a year that RFC 3339 cannot hold (before 0 or after 9999).
bool append_rfc3339(std::string& out, timestamp when);

/// Any RFC 3339 time, whatever its offset; digits beyond microseconds are cut off. Nothing for anything else.
std::optional<timestamp> parse_rfc3339(std::string_view text);

} // namespace pgstate::store

#endif
