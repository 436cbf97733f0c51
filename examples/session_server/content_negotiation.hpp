#ifndef SESSION_SERVER_CONTENT_NEGOTIATION_HPP
#define SESSION_SERVER_CONTENT_NEGOTIATION_HPP

#include "exchange.hpp"

#include <string_view>

namespace session_server {

/// \throws http_error 406 - the request does not take JSON (RFC 9110, section 12.5.1)
void require_json_accepted(const request& message);

/// \throws http_error 415 - the content is not of `media_type`, or is compressed
void require_content(const request& message, std::string_view media_type);

} // namespace session_server

#endif
