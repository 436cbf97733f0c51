#ifndef SESSION_SERVER_TIMESTAMPS_HPP
#define SESSION_SERVER_TIMESTAMPS_HPP

#include <pgstate/agent_state.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace session_server {

pgstate::timestamp now();

/// In UTC, with microseconds: "2026-01-31T12:00:00.000000Z" (RFC 3339).
std::string to_rfc3339(pgstate::timestamp when);

/// With any offset; what is finer than a microsecond is cut off. Nothing for anything else.
std::optional<pgstate::timestamp> from_rfc3339(std::string_view text);

} // namespace session_server

#endif
