#include "state_json.hpp"

#include "problem.hpp"
#include <pgstate/rfc3339.hpp>

#include <boost/json/array.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

namespace session_server {
namespace {

namespace json = boost::json;

[[noreturn]] void refuse(const std::string& place, std::string_view reason) {
    throw http_error(422, place + ' ' + std::string(reason));
}

/// Takes the member out of the object: what is left in the end is what the server does not know.
std::optional<json::value> take(json::object& from, std::string_view name) {
    const auto member = from.find(name);
    if (member == from.end()) return std::nullopt;
    auto value = std::move(member->value());
    from.erase(member);
    return value;
}

json::object object_of(std::optional<json::value> value, const std::string& place) {
    if (!value) return {};
    if (!value->is_object()) refuse(place, "must be an object");
    return std::move(value->get_object());
}

std::string text_of(const std::optional<json::value>& value, const std::string& place) {
    if (!value || !value->is_string()) refuse(place, "must be a string");
    return std::string(value->get_string());
}

pgstate::timestamp time_of(const std::optional<json::value>& value, const std::string& place) {
    if (!value) return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    const auto time = value->is_string() ? pgstate::from_rfc3339(value->get_string()) : std::nullopt;
    if (!time) refuse(place, "must be a time, as in \"2026-01-31T12:00:00Z\" (RFC 3339)");
    return *time;
}

void check_key(const std::optional<json::value>& value, std::string_view wanted, const std::string& place) {
    if (value && (!value->is_string() || value->get_string() != wanted))
        refuse(place, "is not that of the target; leave it out");
}

pgstate::agent_message to_message(json::value content, const std::string& place) {
    auto members = object_of(std::move(content), place);
    pgstate::agent_message message;
    message.role = text_of(take(members, "role"), place + ".role");
    message.content = text_of(take(members, "content"), place + ".content");
    message.timestamp = time_of(take(members, "timestamp"), place + ".timestamp");
    message.metadata = object_of(take(members, "metadata"), place + ".metadata");
    message.extra = std::move(members);
    return message;
}

std::vector<pgstate::agent_message> to_history(json::array& contents, const std::string& place) {
    std::vector<pgstate::agent_message> history;
    history.reserve(contents.size());
    for (std::size_t i = 0; i < contents.size(); ++i)
        history.push_back(to_message(std::move(contents[i]), place + '[' + std::to_string(i) + ']'));
    return history;
}

json::object to_json(pgstate::agent_message message) {
    json::object made = std::move(message.extra);
    made["role"] = message.role;
    made["content"] = message.content;
    made["timestamp"] = pgstate::to_nearest_rfc3339(message.timestamp);
    if (!message.metadata.empty()) made["metadata"] = std::move(message.metadata);
    return made;
}

} // namespace

json::object to_json(pgstate::agent_state state) {
    json::object made = std::move(state.extra);
    made["agent_id"] = state.agent_id;
    made["session_id"] = state.session_id;
    made["version"] = state.version;
    made["created_at"] = pgstate::to_nearest_rfc3339(state.created_at);
    made["updated_at"] = pgstate::to_nearest_rfc3339(state.updated_at);
    if (state.expires_at) made["expires_at"] = pgstate::to_nearest_rfc3339(*state.expires_at);
    made["data"] = std::move(state.data);
    made["context"] = std::move(state.context);
    json::array history;
    history.reserve(state.history.size());
    for (auto& message : state.history)
        history.push_back(to_json(std::move(message)));
    made["history"] = std::move(history);
    return made;
}

json::object to_json(const pgstate::saved& done, std::string_view agent, std::string_view session) {
    json::object made{{"agent_id", agent},
                      {"session_id", session},
                      {"version", done.version},
                      {"created_at", pgstate::to_nearest_rfc3339(done.created_at)},
                      {"updated_at", pgstate::to_nearest_rfc3339(done.updated_at)}};
    if (done.expires_at) made["expires_at"] = pgstate::to_nearest_rfc3339(*done.expires_at);
    return made;
}

json::object to_json(const pgstate::session_info& listed) {
    return {{"session_id", listed.session_id},
            {"version", listed.version},
            {"created_at", pgstate::to_nearest_rfc3339(listed.created_at)},
            {"updated_at", pgstate::to_nearest_rfc3339(listed.updated_at)}};
}

pgstate::agent_state to_state(json::value document, std::string_view agent, std::string_view session) {
    auto members = object_of(std::move(document), "the content");
    check_key(take(members, "agent_id"), agent, "agent_id");
    check_key(take(members, "session_id"), session, "session_id");
    for (const auto decided_here : {"version", "created_at", "updated_at", "expires_at"})
        take(members, decided_here);

    pgstate::agent_state state{std::string(agent), std::string(session)};
    state.data = object_of(take(members, "data"), "data");
    state.context = object_of(take(members, "context"), "context");
    if (auto history = take(members, "history")) {
        if (!history->is_array()) refuse("history", "must be an array");
        state.history = to_history(history->get_array(), "history");
    }
    state.extra = std::move(members);
    return state;
}

std::vector<pgstate::agent_message> to_messages(json::value content) {
    std::vector<pgstate::agent_message> messages;
    if (content.is_array())
        messages = to_history(content.get_array(), "the content");
    else
        messages.push_back(to_message(std::move(content), "the content"));
    if (messages.empty()) refuse("the content", "has no messages");
    return messages;
}

} // namespace session_server
