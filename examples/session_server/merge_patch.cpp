#include "merge_patch.hpp"

#include "problem.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace session_server {
namespace {

namespace json = boost::json;

json::object take_part(json::object& patch, std::string_view name) {
    const auto member = patch.find(name);
    if (member == patch.end()) return {};
    if (!member->value().is_object())
        throw http_error(422, std::string(name) + " must be an object; every session has one");
    auto part = std::move(member->value().get_object());
    patch.erase(member);
    return part;
}

bool goes_deeper(const json::object& part) {
    return std::any_of(part.begin(), part.end(),
                       [](const auto& member) { return member.value().is_object(); });
}

/// RFC 7396, section 2: MergePatch(Target, Patch).
json::value patched(json::value target, const json::value& patch) {
    if (!patch.is_object()) return patch;
    if (!target.is_object()) target.emplace_object();
    json::object& members = target.get_object();
    for (const auto& [name, change] : patch.get_object()) {
        if (change.is_null()) {
            members.erase(name);
        } else {
            json::value& member = members[name];
            member = patched(std::move(member), change);
        }
    }
    return target;
}

/// Splits the patch of one part into what merge sets and what it removes. `current`: what nested patches begin with.
void split(const json::object& patch, const json::object& current, json::object& set,
           std::vector<std::string>& removed) {
    for (const auto& [name, change] : patch) {
        if (change.is_null()) {
            removed.emplace_back(name);
        } else {
            const json::value* now = current.if_contains(name);
            set[name] = patched(now ? *now : json::value(), change);
        }
    }
}

} // namespace

merge_patch::merge_patch(json::value document) {
    if (!document.is_object()) throw http_error(422, "a patch of a session is an object");
    auto& members = document.get_object();
    data_ = take_part(members, "data");
    context_ = take_part(members, "context");
    if (!members.empty()) throw http_error(422, "only data and context can be patched");
}

bool merge_patch::is_nested() const noexcept {
    return goes_deeper(data_) || goes_deeper(context_);
}

pgstate::state_patch merge_patch::as_it_is() const {
    return applied_to({});
}

pgstate::state_patch merge_patch::applied_to(const pgstate::agent_state& current) const {
    pgstate::state_patch changes;
    split(data_, current.data, changes.data, changes.remove_data);
    split(context_, current.context, changes.context, changes.remove_context);
    return changes;
}

} // namespace session_server
