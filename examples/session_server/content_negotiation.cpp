#include "content_negotiation.hpp"

#include "problem.hpp"

#include <algorithm>
#include <cctype>
#include <string>

namespace session_server {
namespace {

std::string lower(std::string_view text) {
    std::string made(text);
    std::transform(made.begin(), made.end(), made.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return made;
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view space = " \t";
    text.remove_prefix(std::min(text.find_first_not_of(space), text.size()));
    return text.substr(0, text.find_last_not_of(space) + 1);
}

/// The part before `separator`, trimmed; it is taken off `rest`.
std::string_view take_part(std::string_view& rest, char separator) {
    const auto end = rest.find(separator);
    const auto part = trim(rest.substr(0, end));
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    return part;
}

// A weight of 0, in any of its spellings, is a refusal.
bool is_refused(std::string_view parameters) {
    while (!parameters.empty()) {
        const auto parameter = take_part(parameters, ';');
        if (parameter.starts_with("q=")) return parameter.substr(2).find_first_not_of("0.") == parameter.npos;
    }
    return false;
}

} // namespace

void require_json_accepted(const request& message) {
    if (message.accept.empty()) return;
    const std::string accept = lower(message.accept);
    // The most specific range that fits decides, whatever stands before it.
    for (const std::string_view wanted : {"application/json", "application/*", "*/*"}) {
        for (std::string_view ranges = accept; !ranges.empty();) {
            auto parameters = take_part(ranges, ',');
            if (take_part(parameters, ';') != wanted) continue;
            if (!is_refused(parameters)) return;
            throw http_error(406, "there is nothing but application/json here");
        }
    }
    throw http_error(406, "there is nothing but application/json here");
}

void require_content(const request& message, std::string_view media_type) {
    const std::string encoding = lower(trim(message.content_encoding));
    const std::string given = lower(message.content_type);
    std::string_view type = given;
    if (take_part(type, ';') == media_type && (encoding.empty() || encoding == "identity")) return;
    problem refusal{.status = 415};
    refusal.detail = "the content must be " + std::string(media_type) + ", and not compressed";
    refusal.headers.emplace_back(message.method == "PATCH" ? "Accept-Patch" : "Accept", media_type);
    throw http_error(refusal);
}

} // namespace session_server
