#ifndef PGSTATE_CODEC_RFC3339_HPP
#define PGSTATE_CODEC_RFC3339_HPP

#include "pgstate/rfc3339.hpp"

#include <string>

namespace pgstate::codec {

/// Appends `when` as the Go SDK writes it: as `to_rfc3339`, but the fraction without trailing zeros, none when it is zero.
/// False, and nothing appended, for a year that RFC 3339 cannot hold (before 0 or after 9999).
bool append_rfc3339(std::string& out, timestamp when);

} // namespace pgstate::codec

#endif
