#ifndef PGSTATE_BATCH_ENGINE_HPP
#define PGSTATE_BATCH_ENGINE_HPP

#include "batch/connection_set.hpp"
#include "batch/delivery.hpp"
#include "batch/intake.hpp"
#include "batch/operation.hpp"
#include "batch/operation_type.hpp"
#include "batch/planner.hpp"
#include "batch/service_times.hpp"
#include "pool/core.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/set.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string_view>
#include <vector>

namespace pgstate::batch {

/// What an engine has done so far; each only grows.
struct counters {
    std::uint64_t operations = 0;      ///< accepted
    std::uint64_t statements = 0;      ///< sent
    std::uint64_t operations_sent = 0; ///< in them; an operation that is sent again counts again
    std::uint64_t retries = 0;         ///< operations that were to be sent again
    std::uint64_t conflicts = 0;       ///< conditional writes that found another version
    std::uint64_t bytes_sent = 0;      ///< of parameters
    std::uint64_t bytes_received = 0;  ///< of values
    std::size_t queued = 0;            ///< operations of the moment that are accepted and not under way
    std::size_t pending = 0;           ///< ... and not completed; of all engines
    std::size_t pending_bytes = 0;     ///< of these
};

/// Where an event of an operation comes from, for the one who tells its caller.
struct cause {
    const wire::rows* rows = nullptr; ///< an answer
    int row = -1;
    const wire::server_error* refusal = nullptr; ///< also how a connection was lost
    const error* failure = nullptr;
    std::string_view reason = {}; ///< why an outcome stays unknown
};

/// Turns waiting operations into statements on the pool's connections, and answers into each operation's own outcome.
///
/// What becomes of an operation is decided in `life`: the engine feeds it with events and carries out its steps.
///
/// submit, refuse, cancel, close, shut_down and count may be called from any thread; all the rest runs in the engine's
/// strand. A burst of submissions costs one post. Connections are leased only while there is work for them, and given back
/// early when others wait for one.
class engine : public std::enable_shared_from_this<engine>,
               private delivery::listener,
               private connection_set::listener {
public:
    /// \param most_connections  connections that it may have at once, 1 or more
    engine(std::shared_ptr<pool::core> pool, std::shared_ptr<dialect> sql, std::size_t most_connections);
    ~engine() override;

    void submit(operation_ptr what);
    /// Completes `what` with `why`; it was not submitted.
    void refuse(operation_ptr what, error why);
    /// Completes `what` with operation_aborted if it is not over: out of the queue, or abandoned where it was sent. A write
    /// that was sent is abandoned only where `how` allows side effects.
    void cancel(operation_ptr what, boost::asio::cancellation_type how);
    /// Refuses new operations; `done` is called in the strand when those accepted are over.
    void close(std::function<void()> done);
    /// Refuses new operations and fails all others: with errc::closed, or errc::outcome_unknown where a write was sent.
    void shut_down();

    counters count() const noexcept;

private:
    struct earlier {
        bool operator()(const operation& a, const operation& b) const noexcept {
            return a.deadline < b.deadline;
        }
    };
    using open_operations = boost::intrusive::list<
        operation,
        boost::intrusive::member_hook<operation, boost::intrusive::list_member_hook<>, &operation::accepted>>;
    using deadline_index = boost::intrusive::multiset<
        operation,
        boost::intrusive::member_hook<operation, boost::intrusive::set_member_hook<>,
                                      &operation::by_deadline>,
        boost::intrusive::compare<earlier>>;

    // The life of operations.
    void feed(operation& what, event happened, const cause& of = {});
    void tell(operation& what, verdict outcome, const cause& of);
    void enqueue(operation& what);
    void end(operation& what);
    void finish(operation& what);
    const operation_type& type_for(const operation& what) const noexcept;
    error failure_of(const operation& what, verdict outcome, const cause& of) const;

    void take_in();
    void accept(intake::list arrived);
    void dispatch();
    std::weak_ptr<connection_set::listener> connection_listener();
    void acquired(const connection_set::request& asked, pool::lease got) override;
    void refused(const connection_set::request& asked, const error& why) override;
    void no_connection(const error& why);

    void send(const std::shared_ptr<leased_connection>& on, const std::vector<item*>& batch);
    bool comes_too_late(const operation& what, clock::time_point now) const noexcept;
    void limit_time(exchange& what, const leased_connection& on);
    void watch_statement(exchange& what, leased_connection& on, const wire::statement& statement);
    void note_answered(exchange& of, const wire::reply& answer);

    void answered(const std::shared_ptr<exchange>& of, wire::reply answer);
    void succeed(exchange& of, const wire::incarnation& answered_by, const wire::rows& rows);
    event outcome_of(operation& what, const cause& found);
    void ask_elsewhere(exchange& of, leased_connection& on);
    event outcome_of_lost(operation& what, const wire::incarnation& answered_by, const cause& found);
    void fail(exchange& of, const wire::reply& answer);
    horizon horizon_on(const wire::backend& connected) const noexcept;
    void learn_horizon(const exchange& of, const wire::incarnation& answered_by, const wire::rows& rows);

    bool only_settling_is_left() const noexcept;
    void abandon(bool all, const std::string& why);
    void start_pauses();
    void forget_deadline(operation& what);
    clock::time_point next_time() const noexcept;
    void watch_times();
    void stop_watching();
    void delivered() override;
    void expire();
    void after_change();
    void end_turn();

    const std::shared_ptr<pool::core> pool_;
    const std::shared_ptr<dialect> sql_;
    const connection_set::strand_type strand_;

    intake incoming_;
    std::atomic<std::uint64_t> operations_{0};
    std::atomic<std::uint64_t> statements_{0};
    std::atomic<std::uint64_t> operations_sent_{0};
    std::atomic<std::uint64_t> retries_{0};
    std::atomic<std::uint64_t> conflicts_{0};
    std::atomic<std::uint64_t> bytes_sent_{0};
    std::atomic<std::uint64_t> bytes_received_{0};
    std::atomic<std::size_t> queued_{0};

    const room room_; ///< for what holds a connection for long
    planner planner_;
    connection_set connections_;
    open_operations open_; // all that were accepted and are not out of the planner; holds a reference to each
    /// Outstanding work on the store's executor while a caller waits: callers who brought no executor of their own need
    /// not each count for themselves.
    std::optional<boost::asio::any_io_executor> work_;
    std::vector<horizon> horizons_; ///< one for each run of a server that answered, the last one last
    service_times usual_;
    /// Keys, by their hash, whose rows were locked by somebody else: their writes look first. A hint: it may be out of date.
    boost::unordered_flat_set<std::size_t> locked_keys_;
    wire::parameters limit_values_; ///< of limit_values_of_
    time_limits limit_values_of_;
    deadline_index deadlines_;
    boost::asio::steady_timer timer_;
    clock::time_point timer_at_ = clock::time_point::max();
    std::vector<operation_ptr> pausing_; ///< begin their pause at the end of this turn
    std::vector<std::function<void()>> close_handlers_;
    delivery completed_;
    std::size_t waiting_callers_ = 0; ///< of open operations, those whose callers are not told
    std::minstd_rand random_{std::random_device{}()};
};

} // namespace pgstate::batch

#endif
