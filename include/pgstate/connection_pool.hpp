#pragma once

#include "pgstate/config.hpp"
#include "pgstate/detail/callback.hpp"
#include "pgstate/detail/completion.hpp"
#include "pgstate/detail/default_token.hpp"
#include "pgstate/detail/export.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <pqxx/connection>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace pgstate {

namespace pool {
class core;
}

/// What a pool has done and has, in pgxpool's terms. Counts only ever grow; the sizes are of the moment.
struct pool_stats {
    std::size_t max_conns = 0;          ///< the limit
    std::size_t total_conns = 0;        ///< acquired + constructing + idle
    std::size_t acquired_conns = 0;     ///< handed out
    std::size_t constructing_conns = 0; ///< being connected
    /// Given up because the server did not answer, and not yet closed by it. They count against max_conns, but not in
    /// total_conns; when no other is left, one connection more than max_conns is made.
    std::size_t ending_conns = 0;
    std::size_t idle_conns = 0; ///< ready
    std::size_t waiters = 0;    ///< callers in the queue

    std::uint64_t acquire_count = 0;                     ///< successful acquires
    std::uint64_t canceled_acquire_count = 0;            ///< acquires that ended by cancellation or time-out
    std::uint64_t empty_acquire_count = 0;               ///< successful acquires that had to wait
    std::chrono::nanoseconds acquire_duration{0};        ///< time in all successful acquires
    std::chrono::nanoseconds empty_acquire_wait_time{0}; ///< time in those that had to wait
    std::uint64_t new_conns_count = 0;                   ///< connections made
    std::uint64_t failed_connects_count = 0;             ///< attempts that failed
    std::uint64_t max_lifetime_destroy_count = 0;        ///< closed for their age
    std::uint64_t max_idle_destroy_count = 0;            ///< closed for their idle time
    std::uint64_t broken_destroy_count = 0;              ///< closed because they were broken or suspect
};

/// How a connection is asked for.
struct acquire_options {
    /// How long to wait for a connection. Zero: `config.operation_timeout`.
    std::chrono::milliseconds timeout{0};
    /// The span that the operation's own belongs to; by default the one that the calling thread is in.
    span_context parent{};
};

/// A pool of PostgreSQL connections that belongs to an executor and never blocks it. A pool that was moved from can only be
/// assigned to or destroyed.
///
/// Executor:      a completion runs on the handler's associated executor, by default the pool's.
/// Thread safety: every member may be called from any thread.
/// Order:         callers are served in the order in which they came.
/// Destructor:    closes the idle connections; those in use are closed as they come back. Callers still in the queue
///                complete with errc::closed. A pool that a store gave out ends with that store.
class PGSTATE_API connection_pool {
public:
    /// Makes a pool; connections are made when they are first needed (and `min_conns` in the background).
    /// \throws error invalid_argument - a setting or the connection string is refused; names it
    connection_pool(boost::asio::any_io_executor executor, const config& settings);

    connection_pool(connection_pool&&) noexcept = default;
    connection_pool& operator=(connection_pool&&) noexcept;
    ~connection_pool();

    /// Calls `function` with a connection, on a worker thread of the pool, where it may block; its result is this
    /// operation's value. The connection is outside any transaction; one left open is rolled back.
    ///
    /// Completion:   void(std::exception_ptr, T), or void(std::exception_ptr) where `function` returns void
    /// Errors:       pool_exhausted - all connections are in use for longer than `options.timeout`
    ///               unavailable - none can be made; carries the last cause
    ///               callback_failed - `function` threw something that is no SQL error; cause() has it. An SQL error
    ///               keeps its SQLSTATE, and cause() has it too
    /// Cancellation: waiting: removed; running: abandoned, `function` goes on and its result is dropped
    /// Lifetime:     `function` is moved into the pool; the connection is valid only until it returns. With g++ 12, name a
    ///               lambda that captures more than references and numbers before the co_await (GCC bug 99576)
    template <std::invocable<pqxx::connection&> Function,
              detail::token_for<std::invoke_result_t<Function, pqxx::connection&>> Token = default_token>
    auto with_connection(Function function, acquire_options options, Token&& token = Token()) {
        return detail::initiate_with<pqxx::connection&>(token, &connection_pool::start, this,
                                                        std::move(function), options);
    }
    /// The same with default options.
    template <std::invocable<pqxx::connection&> Function,
              detail::token_for<std::invoke_result_t<Function, pqxx::connection&>> Token = default_token>
    auto with_connection(Function function, Token&& token = Token()) {
        return with_connection(std::move(function), acquire_options{}, std::forward<Token>(token));
    }

    /// A consistent snapshot; cheap enough to be read once a second.
    pool_stats stats() const;

    /// Closes every idle connection, and every other as it comes back; later acquires make new ones. For use after a
    /// change that old connections must not outlive (a role's rights, a search path, a moved server).
    void reset();

    /// Waits until every connection has come back and closes them; acquires from now on complete with errc::closed.
    /// Connections that are being made are given up, within 0.1 s unless a name service or after_connect keeps one. Close a
    /// pool before the process ends: no thread of it may be in libpq or OpenSSL then.
    ///
    /// Completion:   void(std::exception_ptr)
    /// Cancellation: the wait is given up; the pool stays closed
    template <detail::token_for<void> Token = default_token>
    auto close(Token&& token = Token()) {
        return detail::initiate<void>(token, &connection_pool::start_close, this);
    }

    /// For the store's own layers: the pool behind this handle.
    explicit connection_pool(std::shared_ptr<pool::core> core) noexcept;
    /// For the store's own layers.
    const std::shared_ptr<pool::core>& native_handle() const noexcept { return core_; }

private:
    void start(std::function<void(pqxx::connection&)> callback, acquire_options options,
               completion<void> handler);
    void start_close(completion<void> handler);

    std::shared_ptr<pool::core> core_;
};

} // namespace pgstate
