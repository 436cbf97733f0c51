#ifndef SESSION_SERVER_PROBLEM_HPP
#define SESSION_SERVER_PROBLEM_HPP

#include "exchange.hpp"
#include <pgstate/error.hpp>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace session_server {

/// What a client is told of a failure (RFC 9457, "Problem Details for HTTP APIs").
struct problem {
    unsigned status = 500;
    std::string type = "about:blank"; ///< what programs tell failures of the same status apart by
    std::string detail{};             ///< for people
    std::optional<std::int64_t> current_version{}; ///< of a conflict; 0: there is no such session
    std::vector<std::pair<std::string, std::string>> headers{};
};

/// Thrown by handlers to answer with a problem.
class http_error : public std::exception {
public:
    explicit http_error(problem what) : problem_(std::move(what)) {}
    http_error(unsigned status, std::string detail) {
        problem_.status = status;
        problem_.detail = std::move(detail);
    }
    const problem& what_happened() const noexcept { return problem_; }
    const char* what() const noexcept override { return problem_.detail.c_str(); }

private:
    problem problem_;
};

/// What of the request decides about the status of an error.
struct circumstances {
    bool conditional = false; ///< it had If-Match or If-None-Match: a conflict is a precondition that failed
    bool has_content = false; ///< what the store refuses is in the content, and not in the target
};

/// The problem that the store's error is for the client.
problem problem_of(const pgstate::error& failure, circumstances given);

response to_response(const problem& what, std::string_view request_id);

} // namespace session_server

#endif
