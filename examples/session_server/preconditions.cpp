#include "preconditions.hpp"

#include "problem.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <vector>

namespace session_server {
namespace {

struct entity_tag {
    std::string_view opaque; ///< with its quotes
    bool weak = false;
};

[[noreturn]] void refuse(std::string_view reason) {
    throw http_error(400, std::string(reason));
}

void skip(std::string_view& text, std::string_view any_of) {
    text.remove_prefix(std::min(text.find_first_not_of(any_of), text.size()));
}

entity_tag take_tag(std::string_view& text) {
    entity_tag tag;
    if (text.starts_with("W/")) {
        tag.weak = true;
        text.remove_prefix(2);
    }
    const auto end = text.starts_with('"') ? text.find('"', 1) : text.npos;
    if (end == text.npos) refuse("an entity tag stands in double quotes, as in If-Match: \"42\"");
    tag.opaque = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
    return tag;
}

std::vector<entity_tag> tags_of(std::string_view text) {
    constexpr std::string_view space = " \t";
    std::vector<entity_tag> tags;
    for (skip(text, space); !text.empty(); skip(text, space)) {
        tags.push_back(take_tag(text));
        skip(text, space);
        if (text.empty()) break;
        if (!text.starts_with(',')) refuse("entity tags are separated by commas");
        skip(text, " \t,");
    }
    return tags;
}

// No session gets there, so that the store finds another version, and says which.
constexpr auto no_version = std::numeric_limits<std::int64_t>::max();

// A weak tag, or one that never came from here, matches no session.
std::int64_t version_of(const entity_tag& tag) {
    std::int64_t version = 0;
    const auto digits = tag.opaque.substr(1, tag.opaque.size() - 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
    const bool ours = error == std::errc() && end == digits.data() + digits.size() && version > 0;
    return ours && !tag.weak ? version : no_version;
}

} // namespace

std::string etag_of(std::int64_t version) {
    return '"' + std::to_string(version) + '"';
}

write_condition write_condition_of(const request& message) {
    write_condition wanted;
    if (!message.if_none_match.empty()) {
        if (message.if_none_match != "*" || message.method != "PUT" || !message.if_match.empty())
            refuse(
                "of the writes, only PUT takes If-None-Match, only with *, and not together with If-Match");
        wanted.version = 0;
    } else if (message.if_match == "*") {
        wanted.must_exist = true;
    } else if (!message.if_match.empty()) {
        const auto tags = tags_of(message.if_match);
        if (tags.size() != 1) refuse("a write takes one entity tag in If-Match");
        wanted.version = version_of(tags.front());
    }
    return wanted;
}

bool not_modified(const request& message, std::int64_t version) {
    if (message.if_none_match == "*") return true;
    const std::string current = etag_of(version);
    for (const auto& tag : tags_of(message.if_none_match))
        if (tag.opaque == current) return true; // weak or not: this comparison is the weak one
    return false;
}

bool matches(const request& message, std::int64_t version) {
    if (message.if_match.empty() || message.if_match == "*") return true;
    for (const auto& tag : tags_of(message.if_match))
        if (version_of(tag) == version) return true;
    return false;
}

} // namespace session_server
