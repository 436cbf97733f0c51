#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/detail/export.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace pgstate {

/// `when` in UTC, always with six digits of the second's fraction, so that texts sort as times do:
/// "2026-01-31T12:00:00.250000Z" (RFC 3339, section 5.6).
/// \throws error invalid_argument - the year is before 0 or after 9999, which RFC 3339 cannot hold
PGSTATE_API std::string to_rfc3339(timestamp when);

/// As to_rfc3339, but never throws: a time that is not of the years 1 to 9999 is written as the nearest one that is. Rows that
/// other programs wrote can have such times, `infinity` for example.
PGSTATE_API std::string to_nearest_rfc3339(timestamp when);

/// Any RFC 3339 time, whatever its offset; digits beyond microseconds are cut off. Nothing for anything else.
PGSTATE_API std::optional<timestamp> from_rfc3339(std::string_view text);

} // namespace pgstate
