#ifndef SESSION_SERVER_EXCHANGE_HPP
#define SESSION_SERVER_EXCHANGE_HPP

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace session_server {

// What handlers see of HTTP. Only connection.cpp knows Beast, whose headers take long to compile.

/// Stands for the route, which logs and metrics have, where there is none: targets are chosen by clients.
inline constexpr std::string_view unmatched_route = "unmatched";

/// A request as it came. A header that was not sent is empty; one that was sent several times is joined by commas.
struct request {
    std::string id; ///< of this request: in the log, in the answer and in problems
    std::string method;
    std::string target; ///< still percent-encoded
    std::string accept;
    std::string content_type;
    std::string content_encoding;
    std::string if_match;
    std::string if_none_match;
    std::string body;
};

/// What the target names, decoded.
struct parameters {
    std::map<std::string, std::string, std::less<>> path; ///< by the name in the route's template
    std::map<std::string, std::string, std::less<>> query;
};

struct response {
    unsigned status = 200;
    std::vector<std::pair<std::string, std::string>> headers{}; ///< besides those of the connection
    std::string body{};
    std::string_view route =
        "unmatched"; ///< the template of the path, for logs and metrics; lives as long as the program
};

} // namespace session_server

#endif
