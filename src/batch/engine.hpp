#ifndef PGSTATE_BATCH_ENGINE_HPP
#define PGSTATE_BATCH_ENGINE_HPP

#include "batch/connection_set.hpp"
#include "batch/delivery.hpp"
#include "batch/intake.hpp"
#include "batch/operation.hpp"
#include "batch/operation_type.hpp"
#include "batch/planner.hpp"
#include "pool/core.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/set.hpp>

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

/// Turns waiting operations into statements on the pool's connections, and answers into each operation's own outcome.
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
    /// Completes `what` with operation_aborted if it is not over: out of the queue, or abandoned where it was sent.
    void cancel(operation_ptr what);
    /// Refuses new operations; `done` is called in the strand when those accepted are over.
    void close(std::function<void()> done);
    /// Refuses new operations and fails all others with errc::closed.
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

    void take_in();
    void accept(intake::list arrived);
    void dispatch();
    std::weak_ptr<connection_set::listener> connection_listener();
    void acquired(const connection_set::request& asked, pool::lease got) override;
    void refused(const connection_set::request& asked, const error& why) override;
    void send(const std::shared_ptr<leased_connection>& on, std::vector<item*> batch);
    void answered(const std::shared_ptr<exchange>& of, wire::reply answer);
    void succeed(exchange& of, const wire::incarnation& answered_by, const wire::rows& rows);
    void complete(operation& what, const wire::rows& rows, int row);
    void complete(operation& what, error why);
    void settle_each(exchange& of, const wire::reply& answer);
    void settle(operation& what, const wire::incarnation& answered_by, const wire::rows& rows, int row);
    void settled_as_not_applied(operation& what);
    void settled_as_unknown(operation& what, std::string_view reason);
    void settled_by_nonsense(operation& what, const error& nonsense);
    void fence_again(operation& what);
    bool only_settling_is_left() const noexcept;
    void give_up_settling();
    void send_as(operation& what, const traits& next);
    void end(operation& what);
    void failed(const std::shared_ptr<exchange>& of, const wire::reply& answer);
    void watch_statement(exchange& what, leased_connection& on, const wire::statement& statement);
    void note_answered(exchange& of, const wire::reply& answer);
    void send_again(exchange& of);
    void pause_then_send_again(const std::shared_ptr<exchange>& of);
    void pause(std::size_t attempts, std::function<void()> then);
    horizon horizon_on(const wire::backend& connected) const noexcept;
    void learn_horizon(const exchange& of, const wire::incarnation& answered_by, const wire::rows& rows);
    static error error_of(const operation& what, const wire::reply& answer);
    static error lost_too_often(const operation& what, const wire::server_error& failure);
    static error outcome_unknown(const operation& what, std::string_view reason);
    static bool keeps_its_turn(const operation& what) noexcept;
    void finish(operation& what);
    void forget_deadline(operation& what);
    void watch_deadlines();
    void stop_watching();
    void delivered() override;
    void expire();
    void fail_everything(const std::function<error(const operation&)>& why);
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

    const std::size_t most_long_; ///< operations under way at once of those that may take long
    planner planner_;
    connection_set connections_;
    open_operations open_; // all that were accepted and are not out of the planner; holds a reference to each
    /// Outstanding work on the store's executor while a caller waits: callers who brought no executor of their own need
    /// not each count for themselves.
    std::optional<boost::asio::any_io_executor> work_;
    bool shut_ = false;
    std::vector<horizon> horizons_; ///< one for each run of a server that answered, the last one last
    deadline_index deadlines_;
    boost::asio::steady_timer timer_;
    clock::time_point timer_at_ = clock::time_point::max();
    std::vector<std::function<void()>> close_handlers_;
    delivery completed_;
    std::size_t waiting_callers_ = 0; ///< of open operations, those that are not completed
    std::minstd_rand random_{std::random_device{}()};
};

} // namespace pgstate::batch

#endif
