#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pgstate::settings {

/// One `pool_*` setting of a connection string.
struct pool_setting {
    std::string name;  ///< with `pool_`
    std::string value; ///< percent escapes, quotes and backslashes undone

    friend bool operator==(const pool_setting&, const pool_setting&) = default;
};

/// A connection string, divided between the pool and libpq.
struct split_connection_string {
    std::string libpq_conninfo;              ///< what is left: byte for byte as it was, the password included
    std::vector<pool_setting> pool_settings; ///< in order of appearance; of repeated ones the last counts
    bool connect_timeout_given = false;
};

/// Takes the `pool_*` settings out of a connection string, a URI or keyword/value pairs. Reads both as libpq does, and
/// refuses what libpq would refuse as malformed, because libpq's message quotes the string with its password.
/// \throws error invalid_argument - empty or malformed; the message never quotes the string
split_connection_string split(std::string_view connection_string);

/// The scheme of `text` if it begins with SCHEME://, else empty.
std::string_view uri_scheme(std::string_view text);

/// Refuses a parameter that other drivers take and libpq does not know, and says what to write here.
/// \throws error invalid_argument
void refuse_foreign(std::string_view name, std::string_view value);

/// `split` for a URI.
/// \throws error invalid_argument - another scheme than libpq's two, or malformed
split_connection_string split_uri(std::string_view uri);

/// `split` for keyword/value pairs: `host=localhost password='it\'s'`.
/// \throws error invalid_argument - malformed
split_connection_string split_keyword_value(std::string_view text);

} // namespace pgstate::settings
