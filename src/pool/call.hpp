#ifndef PGSTATE_POOL_CALL_HPP
#define PGSTATE_POOL_CALL_HPP

#include "pgstate/detail/completion.hpp"
#include "pool/core.hpp"
#include "telemetry/operation_watch.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace pgstate::pool {

/// Told to the function that runs on the worker: its caller no longer waits, so it should not commit.
using abandoned_flag = std::shared_ptr<const std::atomic<bool>>;

/// What the function is told.
struct call_context {
    abandoned_flag abandoned;
    span_context span; ///< of the operation; not valid where there is none
    /// Where the function leaves how many bytes it sent or received at once, as far as it knows.
    std::shared_ptr<std::atomic<std::size_t>> held = std::make_shared<std::atomic<std::size_t>>(0);
};

struct call_terms {
    telemetry::operation_id operation{};
    std::chrono::milliseconds timeout{0}; ///< 0: no limit
    bool bounds_function = false;         ///< the time-out covers the function too, not only the wait
    bool fail_fast = false;               ///< as waiter::fail_fast
    span_context parent{};                ///< of the operation's span
    std::shared_ptr<void> held{};         ///< let go when the call is over, before its handler runs
};

/// Acquires a connection and runs `function` with it on a worker thread.
/// Completes with what `function` threw, by `to_error`; with unavailable, pool_exhausted, timed_out or closed; or with
/// operation_aborted. Refused with closed once `pool->calls()` is closed.
void call_with_connection(const std::shared_ptr<core>& pool,
                          std::function<void(pqxx::connection&, const call_context&)> function,
                          call_terms terms, completion<void> handler);

} // namespace pgstate::pool

#endif
