// The way of a connection from the pool's lists to somebody who wants it, and to a worker thread and back.

#include "pool/core.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <chrono>
#include <utility>

namespace pgstate::pool {
namespace {

// How long a connection that has been idle may take to answer before it counts as lost.
constexpr auto ping_timeout = std::chrono::seconds(5);

} // namespace

void core::hand_out(std::shared_ptr<entry> what, std::shared_ptr<waiter> who, bool fresh) {
    const auto now = clock::now();
    if (!fresh) {
        if (now >= what->expires || !what->connection->check_idle())
            return try_another(std::move(what), std::move(who));
        if (now - what->idle_since >= config_.pool.validate_after_idle)
            return ping(std::move(what), std::move(who));
    }
    if (config_.pool.before_acquire) return call_hook(std::move(what), std::move(who));
    deliver(std::move(what), std::move(who));
}

void core::ping(std::shared_ptr<entry> what, std::shared_ptr<waiter> who) {
    static const wire::statement nothing{"", "SELECT 1", {}};
    struct attempt {
        std::shared_ptr<entry> what;
        std::shared_ptr<waiter> who;
        boost::asio::steady_timer deadline;
    };
    const auto strand = boost::asio::make_strand(executor_);
    auto state = std::make_shared<attempt>(
        attempt{std::move(what), std::move(who), boost::asio::steady_timer(executor_, ping_timeout)});
    auto* connection = state->what->connection.get();
    connection->use_executor(strand);
    // Both handlers run in the strand, and so does all that touches the connection meanwhile.
    boost::asio::post(strand, [self = shared_from_this(), state, connection, strand] {
        connection->send(nothing, {}, statement_mode::unnamed, [self, state](wire::reply answer) {
            state->deadline.cancel();
            if (answer.outcome != wire::reply::status::ok)
                return self->try_another(std::move(state->what), std::move(state->who));
            if (self->config_.pool.before_acquire)
                return self->call_hook(std::move(state->what), std::move(state->who));
            self->deliver(std::move(state->what), std::move(state->who));
        });
        state->deadline.async_wait(boost::asio::bind_executor(strand, [state](auto failed) {
            if (!failed && state->what) state->what->connection->abandon("it did not answer a ping");
        }));
    });
}

void core::call_hook(std::shared_ptr<entry> what, std::shared_ptr<waiter> who) {
    const auto ask = [hook = config_.pool.before_acquire](pqxx::connection& connection) {
        if (!hook(connection))
            throw error(errc::unavailable, "acquire", "before_acquire refused the connection");
    };
    send_to_worker(std::move(what), ask,
                   [this, who](std::shared_ptr<entry> back, std::exception_ptr refused) {
                       if (refused || back->connection->broken()) return try_another(std::move(back), who);
                       deliver(std::move(back), who);
                   });
}

void core::deliver(std::shared_ptr<entry> what, std::shared_ptr<waiter> who) {
    {
        const lock guard(mutex_);
        --checking_;
        ++acquired_;
        const auto took = who->waited_ = clock::now() - who->since_;
        ++totals_.acquire_count;
        totals_.acquire_duration += took;
        if (who->queued_) {
            ++totals_.empty_acquire_count;
            totals_.empty_acquire_wait_time += took;
        }
    }
    who->acquired(lease(shared_from_this(), std::move(what)));
}

void core::try_another(std::shared_ptr<entry> unfit, std::shared_ptr<waiter> who) {
    deferred later;
    std::shared_ptr<entry> found;
    bool closed = false;
    {
        const lock guard(mutex_);
        --checking_;
        drop(std::move(unfit), later);
        closed = closed_;
        if (!closed && !idle_.empty()) {
            found = std::move(idle_.back());
            idle_.pop_back();
            ++checking_;
        } else if (!closed) {
            // It came before everybody who is in the queue now.
            who->queued_ = true;
            enters_queue(*who);
            queue_.push_front(who);
            fill(later);
        }
        finish_close(later);
    }
    run_all(later);
    if (closed) return who->failed(error(errc::closed, "acquire", "the pool has been closed"));
    if (found) hand_out(std::move(found), std::move(who), false);
}

void core::lend(lease with, std::function<void(pqxx::connection&)> work,
                std::function<void(lease, std::exception_ptr)> after) {
    auto what = std::move(with.entry_);
    with.pool_.reset();
    send_to_worker(std::move(what), std::move(work),
                   [this, after = std::move(after)](std::shared_ptr<entry> back, std::exception_ptr failure) {
                       after(lease(shared_from_this(), std::move(back)), std::move(failure));
                   });
}

void core::send_to_worker(std::shared_ptr<entry> what, std::function<void(pqxx::connection&)> work,
                          std::function<void(std::shared_ptr<entry>, std::exception_ptr)> after) {
    std::shared_ptr<wire::session> session = what->connection->lend_session();
    std::uint64_t id = 0;
    {
        const lock guard(mutex_);
        id = ++next_errand_;
        errands_.emplace(id, errand{std::move(what), std::move(after)});
    }
    workers_.post([session, work = std::move(work), gate = gate_, weak = weak_from_this(), id]() mutable {
        std::exception_ptr failure;
        try {
            if (!session)
                throw error(errc::unavailable, "acquire", "the connection was lost while it was idle");
            work(session->enter_blocking());
        } catch (...) {
            failure = std::current_exception();
        }
        work = nullptr;
        if (session && !session->clean_up()) session.reset();
        // All that this thread holds of it goes along, so that the last reference is let go of where it was read: the thread
        // sanitizer does not see how the standard library counts them.
        gate->post([weak, session = std::move(session), failure = std::move(failure), id]() mutable {
            if (const auto self = weak.lock())
                self->back_from_worker(id, std::move(session), std::move(failure));
        });
    });
}

void core::back_from_worker(std::uint64_t id, std::shared_ptr<wire::session> session,
                            std::exception_ptr failure) {
    errand done;
    {
        const lock guard(mutex_);
        const auto at = errands_.find(id);
        if (at == errands_.end()) return; // given up by shut_down
        done = std::move(at->second);
        errands_.erase(at);
    }
    done.what->connection->return_session(std::move(session));
    done.after(std::move(done.what), std::move(failure));
}

} // namespace pgstate::pool
