#ifndef SESSION_SERVER_PRECONDITIONS_HPP
#define SESSION_SERVER_PRECONDITIONS_HPP

#include "exchange.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace session_server {

// A session's version is its entity tag: how HTTP's conditional requests (RFC 9110, section 13) become the store's
// if_unchanged and if_version.

/// `"42"`, quotes included.
std::string etag_of(std::int64_t version);

/// What a writing request demands of the session that is there.
struct write_condition {
    bool must_exist = false; ///< If-Match: *
    std::optional<std::int64_t>
        version{}; ///< If-Match: "42"; of If-None-Match: * it is 0: there must be none

    bool any() const noexcept { return must_exist || version.has_value(); }
};

/// \throws http_error 400 - a condition that cannot be kept by one write: several tags, or If-None-Match with a tag
write_condition write_condition_of(const request& message);

/// If-None-Match of a GET for a session at `version`: true means 304.
bool not_modified(const request& message, std::int64_t version);

/// If-Match of a GET; true where it has none.
bool matches(const request& message, std::int64_t version);

} // namespace session_server

#endif
