#ifndef SESSION_SERVER_OPERATION_ROUTES_HPP
#define SESSION_SERVER_OPERATION_ROUTES_HPP

#include "router.hpp"
#include <pgstate/state_store.hpp>

#include <prometheus/collectable.h>

#include <atomic>
#include <chrono>
#include <memory>

namespace session_server {

/// What those ask who run the server: whether it lives, whether it can work, how much it does, and what it offers.
///
/// The routes keep references to `store` and `leaving`.
/// \param ready_time  what /readyz waits for the database: an answer after its prober has left is none
/// \param leaving     the server shuts down: /readyz says 503
void add_operation_routes(router& routes, pgstate::state_store& store, std::chrono::milliseconds ready_time,
                          std::shared_ptr<const prometheus::Collectable> metrics,
                          const std::atomic<bool>& leaving);

} // namespace session_server

#endif
