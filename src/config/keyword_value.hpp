#ifndef PGSTATE_CONFIG_KEYWORD_VALUE_HPP
#define PGSTATE_CONFIG_KEYWORD_VALUE_HPP

#include "config/connection_string.hpp"

#include <string_view>

namespace pgstate::settings {

/// `split` for keyword/value pairs: `host=localhost password='it\'s'`.
/// \throws error invalid_argument - malformed
split_connection_string split_keyword_value(std::string_view text);

} // namespace pgstate::settings

#endif
