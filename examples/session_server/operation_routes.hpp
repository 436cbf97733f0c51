#ifndef SESSION_SERVER_OPERATION_ROUTES_HPP
#define SESSION_SERVER_OPERATION_ROUTES_HPP

#include "router.hpp"
#include <pgstate/state_store.hpp>

#include <prometheus/collectable.h>

#include <atomic>
#include <memory>

namespace session_server {

/// What those ask who run the server: whether it lives, whether it can work, how much it does, and what it offers.
///
/// The routes keep references to `store` and `draining`.
void add_operation_routes(router& routes, pgstate::state_store& store,
                          std::shared_ptr<const prometheus::Collectable> metrics,
                          const std::atomic<bool>& draining);

} // namespace session_server

#endif
