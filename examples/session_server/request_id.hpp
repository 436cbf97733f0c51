#ifndef SESSION_SERVER_REQUEST_ID_HPP
#define SESSION_SERVER_REQUEST_ID_HPP

#include <string>
#include <string_view>

namespace session_server {

/// What a request is known by in logs and problems: what the client or a proxy called it, if that can stand in a URI and is
/// not too long, and otherwise a new UUID.
std::string request_id(std::string_view given);

} // namespace session_server

#endif
