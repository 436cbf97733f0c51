#ifndef PGSTATE_TEST_STATES_HPP
#define PGSTATE_TEST_STATES_HPP

#include "pgstate/agent_state.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate_test {

/// The object that a JSON text is.
boost::json::object parsed(std::string_view text);

/// A state whose data are the object that `data`, a JSON text, is.
pgstate::agent_state state_with(const std::string& agent, const std::string& session, std::string_view data);

/// A state that uses everything a state has.
pgstate::agent_state full_state(const std::string& agent, const std::string& session);

/// A state without what the server sets (version and times), for comparisons.
pgstate::agent_state contents_of(pgstate::agent_state state);

/// Texts in many scripts, with emoji, control characters and everything JSON escapes. None is empty or repeated.
std::vector<std::string> many_texts();

/// `depth` arrays in one another.
boost::json::value nested(std::size_t depth);

/// Texts that neither jsonb nor a key can hold: NUL, overlong forms, surrogates, stray and missing bytes.
std::vector<std::string> bad_texts();

} // namespace pgstate_test

#endif
