#include "config/connection_string.hpp"

#include "config/refuse.hpp"

namespace pgstate::settings {

split_connection_string split(std::string_view connection_string) {
    if (connection_string.find_first_not_of(" \t\n\v\f\r") == std::string_view::npos) {
        refuse("connection_string is empty; give a URI (postgres://user:password@host:5432/database) or "
               "keyword/value pairs (host=... dbname=...)");
    }
    if (connection_string.find('\0') != std::string_view::npos) {
        refuse("connection_string holds a NUL character; libpq would read no further than that");
    }
    return uri_scheme(connection_string).empty() ? split_keyword_value(connection_string)
                                                 : split_uri(connection_string);
}

} // namespace pgstate::settings
