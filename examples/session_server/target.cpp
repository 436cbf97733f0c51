#include "target.hpp"

#include "problem.hpp"

#include <cstddef>

namespace session_server {
namespace {

constexpr std::string_view hexadecimal = "0123456789ABCDEF";

int value_of(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    throw http_error(400, "the target has a % that is not followed by two hexadecimal digits");
}

std::string percent_decode(std::string_view text) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            decoded += text[i];
            continue;
        }
        const auto digits = text.substr(i + 1, 2);
        const int high = value_of(digits.empty() ? '\0' : digits[0]);
        const int low = value_of(digits.size() < 2 ? '\0' : digits[1]);
        decoded += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return decoded;
}

// In a query, forms and most clients write a space as "+".
std::string decode_query(std::string_view text) {
    std::string spaced(text);
    for (char& c : spaced)
        if (c == '+') c = ' ';
    return percent_decode(spaced);
}

/// The text before `separator`, which is taken off `rest` with it; all of it where there is none.
std::string_view take_until(std::string_view& rest, char separator) {
    const auto end = rest.find(separator);
    const auto part = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    return part;
}

void add_parameter(target& made, std::string_view assignment) {
    if (assignment.empty()) return;
    const auto name = take_until(assignment, '=');
    if (!made.query.emplace(decode_query(name), decode_query(assignment)).second)
        throw http_error(400, "a parameter of the query stands twice");
}

} // namespace

target parse_target(std::string_view text) {
    target made;
    auto path = take_until(text, '?');
    if (!path.starts_with('/')) throw http_error(400, "the target is not a path");
    do {
        path.remove_prefix(1); // the slash
        const auto segment = path.substr(0, path.find('/'));
        made.segments.push_back(percent_decode(segment));
        path.remove_prefix(segment.size());
    } while (!path.empty());
    while (!text.empty())
        add_parameter(made, take_until(text, '&'));
    return made;
}

std::string percent_encode(std::string_view text) {
    std::string encoded;
    for (const char c : text) {
        const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                std::string_view("-._~").find(c) != std::string_view::npos;
        if (unreserved) {
            encoded += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            encoded += {'%', hexadecimal[byte / 16], hexadecimal[byte % 16]};
        }
    }
    return encoded;
}

} // namespace session_server
