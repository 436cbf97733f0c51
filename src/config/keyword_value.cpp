#include "config/connection_string.hpp"
#include "config/refuse.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::settings {
namespace {

constexpr std::string_view blanks = " \t\n\v\f\r";

std::size_t skip_blanks(std::string_view text, std::size_t at) {
    const auto found = text.find_first_not_of(blanks, at);
    return found == std::string_view::npos ? text.size() : found;
}

/// Reads a name and the '=' after it; leaves `at` where the value begins.
std::string_view read_name(std::string_view text, std::size_t& at) {
    const auto begin = at;
    auto end = text.find_first_of("= \t\n\v\f\r", begin);
    if (end == std::string_view::npos) end = text.size();
    const auto name = text.substr(begin, end - begin);
    if (name.starts_with("jdbc:")) {
        refuse(
            "connection_string has a JDBC URL; write it as postgres://user:password@host:5432/database, without "
            "jdbc:");
    }
    const auto equals = skip_blanks(text, end);
    if (equals == text.size() || text[equals] != '=') {
        refuse(
            "connection_string is neither a URI nor keyword/value pairs: a word in it has no '=' after it; write a "
            "value with blanks in it in single quotes");
    }
    // Behind a pool setting, which is taken out, libpq would read it as a URI, and quote it where that is refused.
    if (name.find("://") != std::string_view::npos) {
        refuse(
            "connection_string has a URI among keyword/value pairs; write pool_* settings as parameters of the URI, "
            "?pool_max_conns=4");
    }
    at = skip_blanks(text, equals + 1);
    return name;
}

/// Reads a value with its quotes and backslashes undone; leaves `at` behind it.
std::string read_value(std::string_view text, std::size_t& at) {
    std::string value;
    const bool quoted = at < text.size() && text[at] == '\'';
    if (quoted) ++at;
    for (; at < text.size(); ++at) {
        const char c = text[at];
        if (c == '\\') {
            if (++at == text.size()) break; // libpq ignores a backslash at the very end
            value += text[at];
        } else if (quoted && c == '\'') {
            ++at;
            return value;
        } else if (!quoted && blanks.find(c) != std::string_view::npos) {
            return value;
        } else {
            value += c;
        }
    }
    if (quoted) {
        refuse(
            "connection_string has a quoted value without the closing quote; write a quote inside one as \\' and a "
            "backslash as \\\\");
    }
    return value;
}

} // namespace

split_connection_string split_keyword_value(std::string_view text) {
    split_connection_string result;
    auto& conninfo = result.libpq_conninfo;
    std::size_t values_end = 0;
    bool last_was_removed = false;

    auto at = skip_blanks(text, 0);
    conninfo = text.substr(0, at);
    while (at < text.size()) {
        const auto begin = at;
        const auto name = read_name(text, at);
        auto value = read_value(text, at);
        const auto value_end = at;
        at = skip_blanks(text, at);

        last_was_removed = name.starts_with("pool_");
        if (last_was_removed) {
            result.pool_settings.push_back({std::string(name), std::move(value)});
            continue;
        }
        refuse_foreign(name, value);
        if (name == "connect_timeout") result.connect_timeout_given = true;
        conninfo.append(text.substr(begin, value_end - begin));
        values_end = conninfo.size();
        conninfo.append(text.substr(value_end, at - value_end));
    }
    if (last_was_removed) conninfo.resize(values_end); // the blanks that stood before it
    return result;
}

} // namespace pgstate::settings
