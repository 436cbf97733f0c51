#ifndef SESSION_SERVER_SESSION_ROUTES_HPP
#define SESSION_SERVER_SESSION_ROUTES_HPP

#include "router.hpp"
#include <pgstate/state_store.hpp>

#include <chrono>

namespace session_server {

/// What clients can do to sessions. Knows the store's interface only: a memory_store would do as well.
///
/// The routes keep a reference to the store.
/// \param time  how long a request may take that is made of several operations of the store
void add_session_routes(router& routes, pgstate::state_store& store, std::chrono::milliseconds time);

} // namespace session_server

#endif
