#ifndef PGSTATE_WIRE_CONNECTION_HPP
#define PGSTATE_WIRE_CONNECTION_HPP

#include "pgstate/config.hpp"
#include "wire/ending.hpp"
#include "wire/exchange_fsm.hpp"
#include "wire/rows.hpp"
#include "wire/session.hpp"
#include "wire/statement.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/container/small_vector.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::wire {

/// A session and its socket in an event loop: sends statements in pipeline mode and hands each its reply.
///
/// Thread safety: none. One holder at a time uses it, from one strand at a time (`use_executor`). Between two holders
///                nothing is under way, so no handler of the first can meet the second.
/// Replies:       each handler is called exactly once, in the order of the sends, from the holder's executor, and never
///                inside `send`.
class connection : public std::enable_shared_from_this<connection> {
public:
    /// Of a message, in bytes: libpq's buffers for it are up to twice as large. More than a change of a part may have.
    static constexpr std::size_t max_kept_bytes = std::size_t{17} << 20;

    using reply_handler = std::function<void(reply)>;

    /// \throws error unavailable - the session is not usable
    connection(boost::asio::any_io_executor io, std::shared_ptr<session> owned);
    ~connection();

    /// Where waiting and replies run from now on; nothing may be in flight.
    void use_executor(boost::asio::any_io_executor strand);

    /// Sends `what` with its own Sync. The text of the parameters is copied before this returns.
    /// \param before  to run first, in this order, in the same transaction
    void send(const statement& what, const parameters& values, statement_mode mode, reply_handler handler,
              std::span<const step> before = {});

    std::size_t in_flight() const noexcept { return fsm_.in_flight(); }
    bool broken() const noexcept { return broken_; }
    /// libpq's buffers, which only grow, have held more at once than is kept for later.
    bool bloated() const noexcept { return most_held_ > max_kept_bytes; }
    /// That much was sent or received at once while the session was lent.
    void held(std::size_t bytes) noexcept { most_held_ = std::max(most_held_, bytes); }

    /// While nothing is in flight: takes in what the server sent meanwhile. False: the connection is lost, or demoted.
    /// One system call; never blocks.
    bool check_idle();

    /// Gives the connection up: everything in flight is broken (its handlers run through the executor).
    void abandon(const std::string& why);

    /// What is left of a connection that was lost while the server may have been at work for it. Once.
    std::optional<ending> take_ending() noexcept { return std::exchange(ending_, std::nullopt); }

    /// Lends the session to a worker thread and takes it back; null when it is lost.
    std::shared_ptr<session> lend_session();
    void return_session(std::shared_ptr<session> owned);

    /// The server's process at the other end; unknown while the session is lent.
    wire::backend backend() const noexcept { return session_ ? session_->backend() : wire::backend(); }
    /// As session::demoted.
    bool demoted() const noexcept { return session_ && session_->demoted(); }
    /// As session::standby.
    bool standby() const noexcept { return session_ && session_->standby(); }

private:
    struct sent_step {
        const statement* what;
        bool tells = false;    ///< as of wire::step
        bool prepares = false; ///< the exchange has its Parse
        std::size_t results() const noexcept { return prepares ? 2 : 1; }
    };
    struct pending {
        reply_handler handler;
        /// Those that run before, and the statement itself.
        boost::container::small_vector<sent_step, 3> steps{};
        reply answer{};
        std::size_t results_left = 0; ///< before that of the last step when something was refused
    };

    bool put(const statement& what, const parameters& values, statement_mode mode, sent_step& as);
    void pump();
    void on_ready();
    void receive();
    void take(void* raw_result);
    /// The step that a result belongs to, and whether it is that of its Parse. \param left  results from it up to that of the last step
    static std::pair<std::size_t, bool> step_of(const pending& exchange, std::size_t left);
    void learn_of_refusal(pending& over);
    void remember_prepared(const statement& refused, bool in_prepare, std::string_view sqlstate);
    void finish(std::deque<pending>& done);
    void lose(server_error why);
    void wait();

    boost::asio::any_io_executor executor_;
    boost::asio::posix::stream_descriptor socket_;
    std::shared_ptr<session> session_;
    exchange_fsm fsm_;
    std::deque<pending> pending_;
    std::deque<pending> finished_; // replies that are complete but not yet handed out
    bool reading_ = false;
    bool writing_ = false;
    bool broken_ = false;
    std::size_t unsent_ = 0; ///< at most, of what libpq was given
    std::size_t most_held_ = 0;
    std::optional<ending> ending_;
};

} // namespace pgstate::wire

#endif
