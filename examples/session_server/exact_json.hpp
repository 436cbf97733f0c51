#ifndef SESSION_SERVER_EXACT_JSON_HPP
#define SESSION_SERVER_EXACT_JSON_HPP

#include <boost/json/value.hpp>

#include <string_view>

namespace session_server {

/// Boost.JSON's parser, which rounds numbers to doubles, without the rounding: of a number that is no 64-bit integer, the
/// double that is kept must be written with the same digits.
/// \throws http_error 400 - it is no JSON, nested deeper than 500, or has a number that would be given back as another
boost::json::value parse_json(std::string_view text);

} // namespace session_server

#endif
