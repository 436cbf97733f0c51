#include "target.hpp"

#include "problem.hpp"

#include <boost/url/encode.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <boost/url/url_view.hpp>

namespace session_server {

namespace urls = boost::urls;

target parse_target(std::string_view text) {
    auto parsed = urls::parse_origin_form(text);
    if (!parsed) parsed = urls::parse_absolute_uri(text);
    if (!parsed || (parsed->has_scheme() && !parsed->has_authority()))
        throw http_error(400, "the target is neither a path nor an absolute URI, as RFC 3986 has them");
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

std::string percent_encode(std::string_view text) {
    return urls::encode(text, urls::unreserved_chars);
}

} // namespace session_server
