#ifndef SESSION_SERVER_OPENAPI_HPP
#define SESSION_SERVER_OPENAPI_HPP

#include <string_view>

namespace session_server {

/// openapi.json, as it was when the server was built.
std::string_view openapi_document();

} // namespace session_server

#endif
