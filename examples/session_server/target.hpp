#ifndef SESSION_SERVER_TARGET_HPP
#define SESSION_SERVER_TARGET_HPP

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace session_server {

/// A request's target, taken apart first and decoded then, so that an id may hold "/", "?" and anything else.
struct target {
    std::vector<std::string> segments; ///< of the path: "/agents/a%2Fb" has "agents" and "a/b"
    std::map<std::string, std::string, std::less<>> query;
};

/// Takes a path with a query, or an absolute URI, as proxies are sent: of the schemes http and https, with a host and
/// without a user.
/// \throws http_error 400 - it is neither, by RFC 3986's grammar, or a name of the query stands twice
target parse_target(std::string_view text);

/// Whether it is what Host has: a host that is not empty, and perhaps a port.
bool is_host(std::string_view text);

/// For a path's segment or a query's value: all but RFC 3986's unreserved characters as "%XX".
std::string percent_encode(std::string_view text);

} // namespace session_server

#endif
