#ifndef AGENT_RUNTIME_CLEANUP_HPP
#define AGENT_RUNTIME_CLEANUP_HPP

#include <pgstate/state_store.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstddef>

namespace demo {

/// Erases every session of the agents 0 to `agents` - 1, also those that this run would not make.
/// \returns how many there were
boost::asio::awaitable<std::size_t> erase_sessions(pgstate::state_store& store, unsigned agents);

} // namespace demo

#endif
