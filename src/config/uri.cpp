#include "config/connection_string.hpp"
#include "config/number.hpp"
#include "config/refuse.hpp"

#include <boost/url/grammar/alnum_chars.hpp>
#include <boost/url/grammar/alpha_chars.hpp>
#include <boost/url/grammar/lut_chars.hpp>
#include <boost/url/pct_string_view.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::settings {
namespace {

namespace urls = boost::urls;

std::string percent_decode(std::string_view text) {
    const auto encoded = urls::make_pct_string_view(text);
    if (!encoded) {
        refuse("connection_string: the URI has a '%' that is not followed by two hexadecimal digits; write a "
               "percent sign as %25");
    }
    auto decoded = encoded->decode();
    if (decoded.find('\0') != decoded.npos) refuse("connection_string: the URI holds a NUL character, %00");
    return decoded;
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view white_space = " \t\n\v\f\r";
    const auto begin = text.find_first_not_of(white_space);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(white_space) - begin + 1);
}

/// Cuts `text` before the first of `delimiters` and returns what came before.
std::string_view take_until(std::string_view& text, std::string_view delimiters) {
    const auto token = text.substr(0, text.find_first_of(delimiters));
    text.remove_prefix(token.size());
    return token;
}

/// A password with '/' in it, not escaped, ends up where the port is: libpq's message would show it.
void check_port(std::string_view port) {
    const auto decoded = percent_decode(port);
    if (decoded.empty()) return;
    const auto number = parse_number(trim(decoded));
    if (!number || *number < 1 || *number > 65'535) {
        refuse("connection_string: a port in the URI is not a number from 1 to 65535; if that is part of the "
               "password, write its '/' as %2F and its '@' as %40");
    }
}

/// Cuts the leading host off `rest`.
void skip_host(std::string_view& rest) {
    if (!rest.starts_with('[')) {
        // The first character may be one: an abstract Unix socket.
        if (take_until(rest, ":/?,").find('@', 1) != std::string_view::npos) {
            refuse(
                "connection_string: a host in the URI has an '@'; if it belongs to the user name or the password, "
                "write it as %40");
        }
        return;
    }
    const auto end = rest.find(']');
    if (end == std::string_view::npos) {
        refuse("connection_string: an IPv6 address in the URI has no closing ']'");
    }
    if (end == 1) refuse("connection_string: an IPv6 address in the URI is empty");
    rest.remove_prefix(end + 1);
    if (!rest.empty() && std::string_view(":/?,").find(rest.front()) == std::string_view::npos) {
        refuse(
            "connection_string: an IPv6 address in the URI is followed by something that is neither a port, a "
            "database, a parameter nor another host");
    }
}

/// Where the query begins, behind its '?', the way libpq finds it: users and passwords may hold one.
std::optional<std::size_t> find_query(std::string_view uri, std::size_t scheme_size) {
    auto rest = uri.substr(scheme_size);
    const auto separator = rest.find_first_of("@/");
    if (separator != std::string_view::npos && rest[separator] == '@') rest.remove_prefix(separator + 1);

    for (;;) {
        skip_host(rest);
        if (rest.starts_with(':')) {
            rest.remove_prefix(1);
            check_port(take_until(rest, "/?,"));
        }
        if (!rest.starts_with(',')) break;
        rest.remove_prefix(1);
    }
    take_until(rest, "?"); // the database
    if (rest.empty()) return std::nullopt;
    return uri.size() - rest.size() + 1;
}

struct parameter {
    std::string name;
    std::string value;
};

parameter read_parameter(std::string_view text) {
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) {
        refuse(
            "connection_string: a parameter of the URI has no '='; write name=value, and an '&' inside a value as "
            "%26");
    }
    if (text.find('=', equals + 1) != std::string_view::npos) {
        refuse(
            "connection_string: a parameter of the URI has a second '='; write an '=' inside a value as %3D");
    }
    return {percent_decode(trim(text.substr(0, equals))), percent_decode(trim(text.substr(equals + 1)))};
}

} // namespace

std::string_view uri_scheme(std::string_view text) {
    constexpr auto belonging = urls::grammar::alnum_chars + urls::grammar::lut_chars("+-.");
    const auto scheme = text.substr(0, std::min(text.find("://"), text.size()));
    if (scheme.empty() || scheme.size() == text.size() || !urls::grammar::alpha_chars(scheme.front()))
        return {};
    return std::all_of(scheme.begin(), scheme.end(), belonging) ? scheme : std::string_view{};
}

split_connection_string split_uri(std::string_view uri) {
    const auto scheme = uri_scheme(uri);
    if (scheme != "postgres" && scheme != "postgresql") {
        refuse(
            "connection_string: the URI's scheme is not libpq's; it must begin with postgres:// or postgresql://, in "
            "lower case and without a driver's name");
    }
    percent_decode(uri); // refuses a malformed escape wherever it stands

    split_connection_string result;
    const auto query = find_query(uri, scheme.size() + 3);
    if (!query) {
        result.libpq_conninfo = uri;
        return result;
    }

    auto& conninfo = result.libpq_conninfo;
    conninfo = uri.substr(0, *query);
    bool last_was_removed = false;
    for (auto rest = uri.substr(*query); !rest.empty();) {
        const auto text = take_until(rest, "&");
        auto [name, value] = read_parameter(text);
        last_was_removed = name.starts_with("pool_");
        if (last_was_removed) {
            result.pool_settings.push_back({std::move(name), std::move(value)});
        } else {
            refuse_foreign(name, value);
            if (name == "connect_timeout") result.connect_timeout_given = true;
            conninfo.append(text).append(rest.substr(0, 1));
        }
        rest.remove_prefix(std::min<std::size_t>(1, rest.size()));
    }
    if (last_was_removed) conninfo.pop_back(); // the '&' or '?' that stood before it
    return result;
}

} // namespace pgstate::settings
