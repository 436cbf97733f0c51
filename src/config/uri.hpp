#ifndef PGSTATE_CONFIG_URI_HPP
#define PGSTATE_CONFIG_URI_HPP

#include "config/connection_string.hpp"

#include <string_view>

namespace pgstate::settings {

/// The scheme of `text` if it begins with SCHEME://, else empty.
std::string_view uri_scheme(std::string_view text);

/// `split` for a URI.
/// \throws error invalid_argument - another scheme than libpq's two, or malformed
split_connection_string split_uri(std::string_view uri);

} // namespace pgstate::settings

#endif
