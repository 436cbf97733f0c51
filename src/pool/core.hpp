#ifndef PGSTATE_POOL_CORE_HPP
#define PGSTATE_POOL_CORE_HPP

#include "config/resolved.hpp"
#include "pgstate/connection_pool.hpp"
#include "pgstate/error.hpp"
#include "pool/gate.hpp"
#include "pool/open_calls.hpp"
#include "pool/policy.hpp"
#include "pool/workers.hpp"
#include "telemetry/hub.hpp"
#include "wire/connection.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pgstate::pool {

class core;

/// A connection of the pool and what the pool knows of it.
struct entry {
    std::shared_ptr<wire::connection> connection;
    clock::time_point expires;
    clock::time_point idle_since;
    std::uint64_t generation = 0;
};

/// A connection in use; goes back to its pool when this ends.
class lease {
public:
    lease() = default;
    lease(std::shared_ptr<core> from, std::shared_ptr<entry> what) noexcept
        : pool_(std::move(from)), entry_(std::move(what)) {}
    lease(lease&&) noexcept = default;
    lease& operator=(lease&& other) noexcept {
        give_back();
        pool_ = std::move(other.pool_);
        entry_ = std::move(other.entry_);
        return *this;
    }
    ~lease() { give_back(); }

    explicit operator bool() const noexcept { return entry_ != nullptr; }
    wire::connection& operator*() const noexcept { return *entry_->connection; }
    wire::connection* operator->() const noexcept { return entry_->connection.get(); }

    void give_back() noexcept;

private:
    friend class core;
    std::shared_ptr<core> pool_;
    std::shared_ptr<entry> entry_;
};

/// Somebody who wants a connection. Called outside the pool's lock, on any thread.
class waiter {
public:
    virtual ~waiter() = default;
    /// \param got  the connection; if it is not moved from, it goes back to the pool
    /// \throws std::exception - there is no memory to take it; the waiter is called again later
    virtual void acquired(lease& got) = 0;
    /// There will be none: the pool is closed, or no connection can be made and waiting would not help.
    virtual void failed(const error& why) = 0;

    /// Fail with the first failed connect, rather than wait for the server to come up.
    bool fail_fast = false;
    /// Has other connections already: nobody needs to give one up for its sake.
    bool optional = false;

    /// From acquire() to the hand-out. \pre `acquired` has been called
    clock::duration waited() const noexcept { return waited_; }

private:
    friend class core;
    clock::time_point since_;
    clock::duration waited_{};
    bool queued_ = false;
};

/// The pool itself; `connection_pool` is a handle to it.
///
/// One mutex guards the lists; whatever blocks runs on worker threads, whatever waits on the executor. Nothing is
/// pending on the executor while nobody waits for a connection, so an idle pool never keeps an event loop alive.
///
/// A connection can be given back where there is no memory: the lists have room for it. What fails then for want of memory,
/// such as the call of a waiter, is done by the next maintain().
class core : public std::enable_shared_from_this<core> {
public:
    /// \throws error invalid_argument - libpq refuses the connection string
    static std::shared_ptr<core> create(boost::asio::any_io_executor executor,
                                        const settings::resolved_config& config);
    core(boost::asio::any_io_executor executor, const settings::resolved_config& config);
    ~core();

    void acquire(std::shared_ptr<waiter> who);
    /// A connection at once, if an idle one needs no check that takes time; empty otherwise, and while others wait.
    lease try_acquire();
    /// Takes `who` out of the queue. False: it is not in it, and will be (or has been) called.
    bool withdraw(const waiter& who);
    /// Runs `work` on a worker thread with the connection of `with`, then `after` on the executor with what `work`
    /// threw, if anything. The connection is cleaned up in between; if that fails it does not come back to the pool.
    void lend(lease with, std::function<void(pqxx::connection&)> work,
              std::function<void(lease, std::exception_ptr)> after);

    /// Calls `then` on the executor when `delay` has passed, unless the pool has ended by then. Until then it keeps no
    /// event loop alive.
    void after(clock::duration delay, std::function<void()> then);

    /// How many wait in the queue and have no other connection; whoever can spare one should give it back.
    std::size_t waiting() const noexcept { return required_waiters_.load(std::memory_order_relaxed); }

    pool_stats stats() const;
    void reset();
    /// Refuses everything from now on. `done` is called, on the executor, when the last connection has come back, and no thread
    /// is connecting any more: a thread that connects while the process ends uses what libcrypto has freed.
    void close(std::function<void()> done);
    /// close() without the wait, for destructors: also what is still running is no longer waited for.
    void shut_down();

    /// The error for somebody whose time ran out while waiting for a connection.
    error exhausted(std::string_view operation) const;

    const boost::asio::any_io_executor& executor() const noexcept { return executor_; }
    const settings::resolved_config& config() const noexcept { return config_; }
    /// Those of `call_with_connection`.
    const std::shared_ptr<open_calls>& calls() const noexcept { return calls_; }
    /// Null: nobody wants to know.
    const std::shared_ptr<telemetry::hub>& telemetry() const noexcept { return telemetry_; }

private:
    friend class lease;
    using lock = std::unique_lock<std::mutex>;
    using waiter_list = std::list<std::shared_ptr<waiter>>; // from which one is moved without an allocation
    /// A connection on its way to a waiter; counted in `checking_`. Nothing: it has arrived.
    struct transfer {
        std::shared_ptr<entry> what;
        waiter_list who; ///< one
    };
    /// What is to be done once the lock is released.
    struct deferred {
        transfer handed_out;
        waiter_list refused;
        std::optional<error> why;
        bool look_after_endings = false;
    };
    void run(deferred& later);

    void release(std::shared_ptr<entry> what) noexcept;
    bool reusable(const entry& what, clock::time_point now);
    void give_up(entry& what, deferred& later) noexcept;
    void look_after_endings();
    void fill() noexcept;
    void start_what_is_missing();
    void start_connect();
    void connected(std::shared_ptr<wire::session> made, const std::optional<error>& failure);
    void accept(std::shared_ptr<entry> what, deferred& later) noexcept;
    transfer to_first_waiter(std::shared_ptr<entry> what) noexcept;
    void hand_out(transfer it, bool fresh) noexcept;
    // These leave `it` as it was when they throw.
    void check(transfer& it, bool fresh);
    void ping(transfer& it);
    void call_hook(transfer& it);
    void deliver(transfer& it);
    void count_delivery(const waiter& who, bool done);
    void try_another(transfer& it);
    void keep(transfer& it) noexcept;
    /// `what` is moved from unless it throws.
    void send_to_worker(std::shared_ptr<entry>& what, std::function<void(pqxx::connection&)> work,
                        std::function<void(std::shared_ptr<entry>, std::exception_ptr)> after);
    void back_from_worker(std::uint64_t id, std::shared_ptr<wire::session> session,
                          std::exception_ptr failure);
    void maintain();
    void serve_queue();
    void refuse(deferred& later, const error& why, bool all);
    void pause_after_failure();
    void go_on_after_pause();
    void finish_close() noexcept;
    void enters_queue(const waiter& who) noexcept;
    void leaves_queue(const waiter& who) noexcept;
    void show_to_metrics();
    error unavailable(std::string_view operation) const;
    census count() const noexcept;

    const boost::asio::any_io_executor executor_;
    const settings::resolved_config config_;
    const std::shared_ptr<telemetry::hub> telemetry_;
    const std::shared_ptr<pool::gate> gate_;
    const std::shared_ptr<open_calls> calls_ = std::make_shared<open_calls>();
    const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
    workers workers_;

    mutable std::mutex mutex_;
    std::vector<std::shared_ptr<entry>> idle_; // most recently used at the back; with room for all there are
    waiter_list queue_;
    std::atomic<std::size_t> required_waiters_{
        0};                             // of those in the queue; for engines, which ask at every statement
    std::vector<wire::ending> endings_; // with room for all there are
    bool endings_watched_ = false;
    std::size_t acquired_ = 0; // handed out
    std::size_t checking_ = 0; // between idle and handed out
    std::size_t connecting_ = 0;
    std::uint64_t generation_ = 0;
    std::size_t failures_ = 0; // failed connects in a row
    std::optional<error> last_failure_;
    clock::time_point resume_connecting_{};
    boost::asio::steady_timer backoff_;
    bool backoff_running_ = false;
    /// Connections whose session is with a worker. Kept here, not with the worker, which may outlive the event loop.
    struct errand {
        std::shared_ptr<entry> what;
        std::function<void(std::shared_ptr<entry>, std::exception_ptr)> after;
    };
    std::unordered_map<std::uint64_t, errand> errands_;
    std::uint64_t next_errand_ = 0;
    bool ticking_ = false;
    bool closed_ = false;
    std::vector<std::function<void()>> close_handlers_;
    std::minstd_rand random_{std::random_device{}()};
    pool_stats totals_; // the counters; the sizes are filled in by stats()
    telemetry::observations observations_;
};

} // namespace pgstate::pool

#endif
