#ifndef SESSION_SERVER_STATE_JSON_HPP
#define SESSION_SERVER_STATE_JSON_HPP

#include <pgstate/agent_state.hpp>
#include <pgstate/operations.hpp>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace session_server {

// Sessions as clients see them. What is refused here is an http_error 422, which names the place and never what
// stands there.

/// A session for GET.
boost::json::object to_json(pgstate::agent_state state);

/// What a write answers with: the session without its contents.
boost::json::object to_json(const pgstate::saved& done, std::string_view agent, std::string_view session);

boost::json::object to_json(const pgstate::session_info& listed);

/// The state that a PUT asks for. What a GET gave can be put back as it is: the members that the server decides are
/// passed over.
pgstate::agent_state to_state(boost::json::value document, std::string_view agent, std::string_view session);

/// What a POST appends: a message, or an array of them.
std::vector<pgstate::agent_message> to_messages(boost::json::value content);

} // namespace session_server

#endif
