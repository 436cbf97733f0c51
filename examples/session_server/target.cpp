#include "target.hpp"

#include "problem.hpp"

#include <boost/url/authority_view.hpp>
#include <boost/url/encode.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <boost/url/scheme.hpp>
#include <boost/url/url_view.hpp>

#include <charconv>
#include <system_error>
#include <utility>

namespace session_server {
namespace {

namespace urls = boost::urls;

/// RFC 9110, section 4.2: a host that is not empty, no user, and a port that there can be.
template <class Authority>
bool names_server(const Authority& where) {
    const auto port = where.port();
    unsigned short number = 0; // Boost.URL takes larger ones
    const bool fits =
        port.empty() || std::from_chars(port.data(), port.data() + port.size(), number).ec == std::errc();
    return fits && !where.encoded_host().empty() && !where.has_userinfo();
}

bool is_http(const urls::url_view& uri) {
    const bool known = uri.scheme_id() == urls::scheme::http || uri.scheme_id() == urls::scheme::https;
    return known && uri.has_authority() && names_server(uri);
}

} // namespace

target parse_target(std::string_view text) {
    auto parsed = urls::parse_origin_form(text);
    if (!parsed) {
        parsed = urls::parse_absolute_uri(text);
        if (!parsed || !is_http(*parsed))
            throw http_error(400, "the target is neither a path nor an http or https URI with a host and "
                                  "without a user, as RFC 3986 has them");
    }
    target made;
    for (auto segment : parsed->segments())
        made.segments.push_back(std::move(segment));
    for (auto parameter : parsed->params()) { // in which "+" is a space, as forms and most clients write it
        if (parameter.key.empty() && !parameter.has_value) continue;
        if (!made.query.emplace(std::move(parameter.key), std::move(parameter.value)).second)
            throw http_error(400, "a parameter of the query stands twice");
    }
    return made;
}

bool is_host(std::string_view text) {
    const auto parsed = urls::parse_authority(text);
    return parsed && names_server(*parsed);
}

std::string percent_encode(std::string_view text) {
    return urls::encode(text, urls::unreserved_chars);
}

} // namespace session_server
