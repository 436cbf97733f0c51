#pragma once

#include "pgstate/agent_state.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace pgstate::codec {

/// Thrown for what jsonb cannot hold. Whoever calls the writer knows where it stands and says so.
struct unwritable {
    std::string reason; ///< completes "PLACE ..."
};

// Each appends compact JSON to `out`, and throws `unwritable`. `depth` is how many containers are already open around
// the value; more than max_depth are refused.

/// `when` as the Go SDK writes it: as `to_rfc3339`, but the fraction without trailing zeros, none when it is zero. False,
/// and nothing appended, for a year that RFC 3339 cannot hold (before 0 or after 9999).
bool append_rfc3339(std::string& out, timestamp when);
/// `when`, or the nearest time of the years 1 to 9999, which both RFC 3339 and the server's input can write.
timestamp nearest_rfc3339(timestamp when);
void append_string(std::string& out, std::string_view text);
void append_object(std::string& out, const boost::json::object& members, std::size_t depth);
void append_value(std::string& out, const boost::json::value& value, std::size_t depth);

} // namespace pgstate::codec
