#include "router.hpp"

#include "target.hpp"

#include <optional>
#include <utility>

namespace session_server {
namespace {

using values = decltype(parameters::path);

/// What the template's parameters are in the path; nothing where it is another path.
std::optional<values> match(std::string_view path_template, const std::vector<std::string>& segments) {
    values matched;
    for (const std::string& segment : segments) {
        if (!path_template.starts_with('/')) return std::nullopt;
        path_template.remove_prefix(1);
        const auto wanted = path_template.substr(0, path_template.find('/'));
        if (wanted.starts_with('{'))
            matched.emplace(wanted.substr(1, wanted.size() - 2), segment);
        else if (wanted != segment)
            return std::nullopt;
        path_template.remove_prefix(wanted.size());
    }
    if (!path_template.empty()) return std::nullopt;
    return matched;
}

} // namespace

router::found router::find(std::string_view method, std::string_view target) const {
    auto parsed = parse_target(target);
    found result;
    for (const route& candidate : routes_) {
        auto matched = match(candidate.path, parsed.segments);
        if (!matched) continue;
        result.matched = &candidate;
        result.method_known = candidate.method == method || (method == "HEAD" && candidate.method == "GET");
        if (!result.method_known) continue;
        result.given.path = std::move(*matched);
        result.given.query = std::move(parsed.query);
        break;
    }
    return result;
}

std::string router::allowed(std::string_view path) const {
    std::string methods;
    for (const route& candidate : routes_) {
        if (candidate.path != path) continue;
        if (!methods.empty()) methods += ", ";
        methods += candidate.method;
        if (candidate.method == "GET") methods += ", HEAD";
    }
    return methods;
}

} // namespace session_server
