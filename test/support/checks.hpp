#ifndef PGSTATE_TEST_CHECKS_HPP
#define PGSTATE_TEST_CHECKS_HPP

#include "pgstate/state_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace pgstate_test {

// Catch2's macros take no co_await: these look first and check then.

/// That there is, or is not, a state under the key.
boost::asio::awaitable<void> check_exists(pgstate::state_store& store, std::string agent,
                                          std::string session);
boost::asio::awaitable<void> check_missing(pgstate::state_store& store, std::string agent,
                                           std::string session);

/// That an erase says `expected`.
boost::asio::awaitable<void> check_erase(pgstate::state_store& store, std::string agent, std::string session,
                                         bool expected);

/// That this many states are counted, of all agents or of one.
boost::asio::awaitable<void> check_count(pgstate::state_store& store, std::int64_t expected,
                                         std::optional<std::string> agent = std::nullopt);

} // namespace pgstate_test

#endif
