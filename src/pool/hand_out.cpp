// The way of a connection from the pool's lists to somebody who wants it, and to a worker thread and back.

#include "pool/core.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <chrono>
#include <exception>
#include <utility>

namespace pgstate::pool {
namespace {

// How long a connection that has been idle may take to answer before it counts as lost.
constexpr auto ping_timeout = std::chrono::seconds(5);

} // namespace

void core::hand_out(transfer it, bool fresh) noexcept {
    try {
        check(it, fresh);
    } catch (const std::exception&) {
        keep(it);
    }
}

/// There is no memory to go on with it: both wait for maintain().
void core::keep(transfer& it) noexcept {
    if (!it.what) return;
    const lock guard(mutex_);
    --checking_;
    idle_.push_back(std::move(it.what));
    enters_queue(*it.who.front());
    queue_.splice(queue_.begin(), it.who);
    finish_close();
}

void core::check(transfer& it, bool fresh) {
    if (!fresh) {
        const auto now = clock::now();
        if (now >= it.what->expires || !it.what->connection->check_idle()) return try_another(it);
        if (now - it.what->idle_since >= config_.pool.validate_after_idle) return ping(it);
    }
    if (config_.pool.before_acquire) return call_hook(it);
    deliver(it);
}

void core::ping(transfer& it) {
    static const wire::statement nothing{"", "SELECT 1", {}};
    struct attempt {
        transfer it;
        boost::asio::steady_timer deadline;
    };
    const auto strand = boost::asio::make_strand(executor_);
    auto state = std::make_shared<attempt>(attempt{{}, boost::asio::steady_timer(executor_, ping_timeout)});
    auto* connection = it.what->connection.get();
    connection->use_executor(strand);
    state->it = std::move(it);
    // Both handlers run in the strand, and so does all that touches the connection meanwhile.
    const auto begin = [self = shared_from_this(), state, connection, strand] {
        connection->send(nothing, {}, statement_mode::unnamed, [self, state](wire::reply answer) {
            state->deadline.cancel();
            try {
                if (answer.outcome != wire::reply::status::ok)
                    self->try_another(state->it);
                else if (self->config_.pool.before_acquire)
                    self->call_hook(state->it);
                else
                    self->deliver(state->it);
            } catch (const std::exception&) {
                self->keep(state->it);
            }
        });
        state->deadline.async_wait(boost::asio::bind_executor(strand, [state](auto failed) {
            if (!failed && state->it.what) state->it.what->connection->abandon("it did not answer a ping");
        }));
    };
    try {
        boost::asio::post(strand, begin);
    } catch (...) {
        it = std::move(state->it);
        throw;
    }
}

void core::call_hook(transfer& it) {
    const auto ask = [hook = config_.pool.before_acquire](pqxx::connection& connection) {
        if (!hook(connection))
            throw error(errc::unavailable, "acquire", "before_acquire refused the connection");
    };
    const auto pending = std::make_shared<transfer>();
    pending->who = std::move(it.who);
    try {
        send_to_worker(it.what, ask,
                       [this, pending](std::shared_ptr<entry> back, std::exception_ptr refused) {
                           pending->what = std::move(back);
                           try {
                               if (refused || pending->what->connection->broken())
                                   try_another(*pending);
                               else
                                   deliver(*pending);
                           } catch (const std::exception&) {
                               keep(*pending);
                           }
                       });
    } catch (...) {
        it.who = std::move(pending->who);
        throw;
    }
}

void core::deliver(transfer& it) {
    auto& who = *it.who.front();
    lease got(shared_from_this(), it.what);
    who.waited_ = clock::now() - who.since_;
    count_delivery(who, true);
    try {
        who.acquired(got);
    } catch (...) {
        if (got)
            count_delivery(who, false);
        else
            it.what.reset(); // it was taken, and is given back by whoever took it
        got.entry_.reset();
        throw;
    }
    it.what.reset();
}

/// \param done  false: what was counted did not happen
void core::count_delivery(const waiter& who, bool done) {
    const auto add = [done](auto& to, auto amount) {
        if (done)
            to += amount;
        else
            to -= amount;
    };
    const lock guard(mutex_);
    checking_ = done ? checking_ - 1 : checking_ + 1;
    add(acquired_, 1U);
    add(totals_.acquire_count, 1U);
    add(totals_.acquire_duration, who.waited_);
    if (!who.queued_) return;
    add(totals_.empty_acquire_count, 1U);
    add(totals_.empty_acquire_wait_time, who.waited_);
}

void core::try_another(transfer& it) {
    transfer next;
    std::shared_ptr<entry> unfit;
    deferred later;
    bool closed = false;
    {
        const lock guard(mutex_);
        --checking_;
        unfit = std::move(it.what);
        give_up(*unfit, later);
        closed = closed_;
        if (!closed && !idle_.empty()) {
            next.what = std::move(idle_.back());
            next.who = std::move(it.who);
            idle_.pop_back();
            ++checking_;
        } else if (!closed) {
            // It came before everybody who is in the queue now.
            it.who.front()->queued_ = true;
            enters_queue(*it.who.front());
            queue_.splice(queue_.begin(), it.who);
            fill();
        }
        finish_close();
    }
    unfit.reset();
    run(later);
    if (closed) return it.who.front()->failed(error(errc::closed, "acquire", "the pool has been closed"));
    if (next.what) hand_out(std::move(next), false);
}

void core::lend(lease with, std::function<void(pqxx::connection&)> work,
                std::function<void(lease, std::exception_ptr)> after) {
    send_to_worker(with.entry_, std::move(work),
                   [this, after = std::move(after)](std::shared_ptr<entry> back, std::exception_ptr failure) {
                       after(lease(shared_from_this(), std::move(back)), std::move(failure));
                   });
}

void core::send_to_worker(std::shared_ptr<entry>& what, std::function<void(pqxx::connection&)> work,
                          std::function<void(std::shared_ptr<entry>, std::exception_ptr)> after) {
    const lock guard(mutex_);
    const auto id = ++next_errand_;
    auto& sent = errands_[id];
    sent.after = std::move(after);
    std::shared_ptr<wire::session> session = what->connection->lend_session();
    try {
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
    } catch (...) {
        what->connection->return_session(std::move(session));
        errands_.erase(id);
        throw;
    }
    sent.what = std::move(what);
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
