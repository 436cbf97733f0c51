#include "session_routes.hpp"

#include "content_negotiation.hpp"
#include "exact_json.hpp"
#include "merge_patch.hpp"
#include "preconditions.hpp"
#include "problem.hpp"
#include "state_json.hpp"
#include "target.hpp"
#include <pgstate/operations.hpp>
#include <pgstate/result.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace session_server {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct session_path {
    const std::string& agent;
    const std::string& session;

    explicit session_path(const parameters& given)
        : agent(given.path.at("agent")), session(given.path.at("session")) {}
};

response json_response(unsigned status, const json::object& body) {
    response made{.status = status};
    made.headers.emplace_back("Content-Type", "application/json");
    made.body = json::serialize(body);
    return made;
}

response saved_response(const pgstate::saved& done, const session_path& at) {
    // The server sets both times when it makes a row.
    const unsigned status = done.created_at == done.updated_at ? 201 : 200;
    auto made = json_response(status, to_json(done, at.agent, at.session));
    made.headers.emplace_back("ETag", etag_of(done.version));
    if (status == 201)
        made.headers.emplace_back("Location", "/agents/" + percent_encode(at.agent) + "/sessions/" +
                                                  percent_encode(at.session));
    return made;
}

[[noreturn]] void no_such_session() {
    throw pgstate::error(pgstate::errc::not_found, "load", "there is no such session");
}

[[noreturn]] void another_version(std::int64_t current) {
    pgstate::error conflict(pgstate::errc::conflict, "load", "the session is at another version");
    throw conflict.with_current_version(current);
}

class session_routes {
public:
    session_routes(pgstate::state_store& store, milliseconds time) : store_(store), time_(time) {}

    asio::awaitable<response> get(const request& message, const parameters& given) {
        require_json_accepted(message);
        const session_path at(given);
        auto state = co_await store_.load(at.agent, at.session, {.timeout = time_});
        if (!state) no_such_session();
        if (!matches(message, state->version)) another_version(state->version);

        const auto etag = etag_of(state->version);
        response answer{.status = 304};
        if (!not_modified(message, state->version)) answer = json_response(200, to_json(std::move(*state)));
        answer.headers.emplace_back("ETag", etag);
        answer.headers.emplace_back("Cache-Control", "no-cache"); // to be kept, and asked about each time
        co_return answer;
    }

    asio::awaitable<response> put(const request& message, const parameters& given) {
        require_json_accepted(message);
        require_content(message, "application/json");
        const session_path at(given);
        const auto wanted = write_condition_of(message);
        auto state = to_state(parse_json(message.body), at.agent, at.session);
        if (wanted.must_exist) co_return saved_response(co_await replace(std::move(state)), at);

        pgstate::save_options options;
        options.timeout = time_;
        options.if_unchanged = wanted.version.has_value();
        state.version = wanted.version.value_or(0);
        co_return saved_response(co_await store_.save(state, options), at);
    }

    asio::awaitable<response> patch(const request& message, const parameters& given) {
        require_json_accepted(message);
        require_content(message, "application/merge-patch+json");
        const session_path at(given);
        const auto wanted = write_condition_of(message);
        const merge_patch changes(parse_json(message.body));
        if (changes.is_nested())
            co_return saved_response(co_await patch_nested(changes, at, wanted.version), at);

        pgstate::change_options options;
        options.timeout = time_;
        options.if_version = wanted.version;
        co_return saved_response(co_await store_.merge(at.agent, at.session, changes.as_it_is(), options),
                                 at);
    }

    asio::awaitable<response> erase(const request& message, const parameters& given) {
        const session_path at(given);
        const auto wanted = write_condition_of(message);
        pgstate::erase_options options;
        options.timeout = time_;
        options.if_version = wanted.version;
        if (!co_await store_.erase(at.agent, at.session, options)) no_such_session();
        co_return response{.status = 204};
    }

    asio::awaitable<response> append(const request& message, const parameters& given) {
        require_json_accepted(message);
        require_content(message, "application/json");
        const session_path at(given);
        const auto wanted = write_condition_of(message);
        pgstate::change_options options;
        options.timeout = time_;
        options.if_version = wanted.version;
        options.create = create_of(given);
        if (options.create && wanted.any())
            throw http_error(400, "create and If-Match contradict each other");
        auto messages = to_messages(parse_json(message.body));
        co_return saved_response(co_await store_.append(at.agent, at.session, std::move(messages), options),
                                 at);
    }

    asio::awaitable<response> list(const request& message, const parameters& given) {
        require_json_accepted(message);
        const auto& agent = given.path.at("agent");
        const auto limit = limit_of(given);
        const auto after = given.query.find("after");
        pgstate::list_options options(limit, after == given.query.end() ? "" : after->second);
        options.timeout = time_;
        const auto page = co_await store_.list(agent, options);

        json::array sessions;
        for (const auto& session : page)
            sessions.push_back(to_json(session));
        json::object body{{"sessions", std::move(sessions)}, {"next", nullptr}};
        if (!page.next.empty()) body["next"] = page.next;
        auto answer = json_response(200, body);
        if (!page.next.empty())
            answer.headers.emplace_back(
                "Link", "</agents/" + percent_encode(agent) + "/sessions?limit=" + std::to_string(limit) +
                            "&after=" + percent_encode(page.next) + ">; rel=\"next\"");
        co_return answer;
    }

private:
    /// If-Match: * of a PUT, which no save can say: the session must be there, at whatever version.
    asio::awaitable<pgstate::saved> replace(pgstate::agent_state by) {
        pgstate::update_options options;
        options.timeout = time_;
        const auto change = [&by](pgstate::agent_state& current) {
            current.data = by.data;
            current.context = by.context;
            current.history = by.history;
            current.extra = by.extra;
        };
        co_return co_await store_.update(by.agent_id, by.session_id, change, options);
    }

    /// Merges what the patch makes of the members that are there. If another writer was first, it begins again. `update`
    /// would send the whole history each time; this sends the members that change.
    asio::awaitable<pgstate::saved> patch_nested(const merge_patch& changes, const session_path& at,
                                                 std::optional<std::int64_t> wanted) {
        const auto deadline = steady_clock::now() + time_;
        for (int attempts_left = 10;; --attempts_left) {
            pgstate::load_options reading;
            reading.timeout = time_until(deadline);
            const auto current = co_await store_.load(at.agent, at.session, reading);
            if (!current) no_such_session();
            if (wanted && current->version != *wanted) another_version(current->version);

            pgstate::change_options options;
            options.if_version = current->version;
            options.timeout = time_until(deadline);
            auto done = co_await store_.merge(at.agent, at.session, changes.applied_to(*current), options,
                                              pgstate::as_result);
            if (done) co_return *done;
            if (done.error() != pgstate::errc::conflict || attempts_left == 0) throw done.error();
        }
    }

    static milliseconds time_until(steady_clock::time_point deadline) {
        const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
        if (left.count() <= 0)
            throw pgstate::error(pgstate::errc::timed_out, "merge", "others were first each time");
        return left;
    }

    static bool create_of(const parameters& given) {
        const auto create = given.query.find("create");
        if (create == given.query.end() || create->second == "false") return false;
        if (create->second == "true") return true;
        throw http_error(400, "create is true or false");
    }

    static std::size_t limit_of(const parameters& given) {
        constexpr std::size_t most = 1000;
        const auto text = given.query.find("limit");
        if (text == given.query.end()) return 100;
        std::size_t limit = 0;
        const char* end = text->second.data() + text->second.size();
        const auto [stop, error] = std::from_chars(text->second.data(), end, limit);
        if (error != std::errc() || stop != end || limit < 1 || limit > most)
            throw http_error(400, "limit is a number from 1 to " + std::to_string(most));
        return limit;
    }

    pgstate::state_store& store_;
    milliseconds time_;
};

} // namespace

void add_session_routes(router& routes, pgstate::state_store& store, milliseconds time) {
    const auto handlers = std::make_shared<session_routes>(store, time);
    using member = asio::awaitable<response> (session_routes::*)(const request&, const parameters&);
    const auto call = [handlers](member function) -> handler {
        return [handlers, function](const request& message, const parameters& given) {
            return (handlers.get()->*function)(message, given);
        };
    };
    constexpr std::string_view sessions = "/agents/{agent}/sessions";
    constexpr std::string_view session = "/agents/{agent}/sessions/{session}";
    constexpr std::string_view messages = "/agents/{agent}/sessions/{session}/messages";
    routes.add(
        {.method = "GET", .path = sessions, .query = {"limit", "after"}, .run = call(&session_routes::list)});
    routes.add({.method = "GET", .path = session, .run = call(&session_routes::get)});
    routes.add({.method = "PUT", .path = session, .run = call(&session_routes::put)});
    routes.add({.method = "PATCH", .path = session, .run = call(&session_routes::patch)});
    routes.add({.method = "DELETE", .path = session, .run = call(&session_routes::erase)});
    routes.add(
        {.method = "POST", .path = messages, .query = {"create"}, .run = call(&session_routes::append)});
}

} // namespace session_server
