#include "config/connection_string.hpp"

#include "config/refuse.hpp"

#include <string>

namespace pgstate::settings {

void refuse_foreign(std::string_view name, std::string_view value) {
    if (name == "ssl" && value != "true") // which libpq takes
        refuse(
            "connection_string has a parameter \"ssl\" that libpq does not know; write sslmode=verify-full, "
            "sslmode=require or sslmode=disable");
    for (const auto* other : {"schema", "currentSchema", "search_path"})
        if (name == other)
            refuse(std::string("connection_string has a parameter \"")
                       .append(other)
                       .append("\", which libpq does not know; name the schema in config.table_name, as in "
                               "\"app.agent_states\", or write options=-csearch_path%3Dapp in a URI"));
}

split_connection_string split(std::string_view connection_string) {
    static constexpr std::string_view blanks = " \t\n\v\f\r";
    const auto begin = connection_string.find_first_not_of(blanks);
    if (begin == std::string_view::npos) {
        refuse("connection_string is empty; give a URI (postgres://user:password@host:5432/database) or "
               "keyword/value pairs (host=... dbname=...)");
    }
    if (connection_string.find('\0') != std::string_view::npos) {
        refuse("connection_string holds a NUL character; libpq would read no further than that");
    }
    const auto text = connection_string.substr(begin);
    if (uri_scheme(text).empty()) return split_keyword_value(connection_string);
    auto result = split_uri(text);
    const auto ends_with_blank = [](std::string_view uri) { return blanks.find(uri.back()) != blanks.npos; };
    if (begin > 0 || ends_with_blank(text) || ends_with_blank(result.libpq_conninfo))
        refuse(
            "connection_string has a blank or a line feed before or after the URI; take it away (one that belongs to "
            "a name is written as %20)");
    return result;
}

} // namespace pgstate::settings
