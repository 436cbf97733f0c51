#include "batch/engine.hpp"
#include "batch/retry.hpp"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::batch {
namespace {

constexpr std::string_view hidden_by_a_pooler = "a pooler hides which process of the server had it";

} // namespace

// What the engine makes of statements that fail: repeats, errors, and writes that may have been applied. In the strand.

void engine::failed(const std::shared_ptr<exchange>& of, const wire::reply& answer) {
    auto& operations = of->operations;
    incident what;
    what.write = operations.front()->type->writes;
    what.operations = operations.size();
    what.broken = answer.outcome == wire::reply::status::broken;
    what.failure = answer.failure;
    for (const auto& each : operations)
        what.attempts = std::max(what.attempts, each->attempts);

    const auto verdict = decide(what);
    if (const auto reason = reason_to_send_again(verdict); !reason.empty()) {
        retries_.fetch_add(operations.size(), std::memory_order_relaxed);
        if (of->watch) of->watch->sent_again(reason);
    }
    switch (verdict) {
    case verdict::retry: return pause_then_send_again(of);
    case verdict::retry_another:
        if (const auto on = of->on.lock()) on->retiring = true;
        return pause_then_send_again(of);
    case verdict::retry_alone:
        for (auto& each : operations) {
            each->alone = true;
            each->attempts = 0;
        }
        return send_again(*of);
    case verdict::retry_now: return send_again(*of);
    case verdict::settle: return settle_each(*of, answer);
    case verdict::fail:
        for (auto& each : operations) {
            complete(*each, error_of(*each, answer));
            // A server that refuses to end a process never will. Without a connection, it is asked again.
            if (keeps_its_turn(*each) && what.broken)
                fence_again(*each);
            else
                end(*each);
        }
    }
}

/// A write that may have been applied, or may still come to be. Whatever its caller does, no other write of its key is sent
/// before that is known to be over.
bool engine::keeps_its_turn(const operation& what) noexcept {
    return what.in_doubt && what.writes();
}

/// A write's connection broke after it was sent: each of its operations finds out by itself what has become of it.
void engine::settle_each(exchange& of, const wire::reply& answer) {
    const auto on = of.on.lock();
    for (auto& each : of.operations) {
        if (shut_) {
            complete(*each, error(errc::closed, each->name()));
            end(*each);
            continue;
        }
        each->in_doubt = std::make_unique<doubt>();
        auto& open = *each->in_doubt;
        open.attempts = std::exchange(each->attempts, 0);
        if (on) open.lost = on->lease->backend();
        open.sent_at = of.sent_at;
        open.why = answer.failure;
        send_as(*each, sql_->settle());
    }
}

/// First the row is read: mostly it tells. Where it does not, the server process that had the write must have ended before
/// the row is read again, as until then the write may still be applied.
void engine::settle(operation& what, const wire::incarnation& answered_by, const wire::rows& rows, int row) {
    auto& open = *what.in_doubt;
    try {
        if (what.type == &sql_->fence()) {
            open.fenced = sql_->fenced(rows);
            if (!open.fenced) return fence_again(what);
            return what.completed ? end(what) : send_as(what, sql_->settle());
        }
        switch (sql_->judge(what, answered_by, rows, row)) {
        case settlement::applied:
            what.type = what.asked;
            what.in_doubt.reset();
            complete(what, rows, row);
            return end(what);
        case settlement::not_applied: return settled_as_not_applied(what);
        case settlement::open:
            if (open.lost.pid != 0) return send_as(what, sql_->fence());
            return settled_as_unknown(what, hidden_by_a_pooler);
        case settlement::unknown:
            return settled_as_unknown(what, row < 0 ? "there is no state now"
                                                    : "another writer has written the state since");
        }
    } catch (const error& nonsense) {
        settled_by_nonsense(what, nonsense);
    }
}

void engine::settled_as_not_applied(operation& what) {
    if (what.completed) return end(what);
    const auto before = std::exchange(what.in_doubt, nullptr);
    what.attempts = before->attempts;
    if (what.attempts >= most_attempts) {
        what.type = what.asked;
        complete(what, lost_too_often(what, before->why));
        return end(what);
    }
    retries_.fetch_add(1, std::memory_order_relaxed);
    send_as(what, *what.asked);
}

void engine::settled_as_unknown(operation& what, std::string_view reason) {
    complete(what, outcome_unknown(what, reason));
    end(what);
}

/// The row is not what it should be, which says nothing of whether the write is over. A server that makes no sense of the
/// fence either never will.
void engine::settled_by_nonsense(operation& what, const error& nonsense) {
    complete(what, outcome_unknown(what, nonsense.what()));
    if (what.in_doubt->fenced || what.type == &sql_->fence()) return end(what);
    fence_again(what);
}

/// The process is still there, or nobody could be asked. It is asked again until it has ended: a caller whose operation has
/// no time-out is told after a few tries.
void engine::fence_again(operation& what) {
    if (what.in_doubt->lost.pid == 0) return settled_as_unknown(what, hidden_by_a_pooler);
    const auto over = [this] { return shut_ || only_settling_is_left(); };
    if (over()) {
        complete(what, outcome_unknown(what, "the store was closed"));
        return end(what);
    }
    if (what.attempts >= most_attempts && what.deadline == clock::time_point::max())
        complete(what, outcome_unknown(what, "the server is still at work on it"));
    pause(what.attempts, [this, over, each = operation_ptr(&what)] {
        if (!over()) return send_as(*each, sql_->fence());
        complete(*each, outcome_unknown(*each, "the store was closed"));
        end(*each);
    });
}

/// The store is being closed, and every caller has an outcome.
bool engine::only_settling_is_left() const noexcept {
    return !close_handlers_.empty() && waiting_callers_ == 0;
}

/// Ends the settling of writes whose callers have left: no operation follows them.
void engine::give_up_settling() {
    for (auto at = open_.begin(); at != open_.end();) {
        auto& what = *at++;
        if (what.in_doubt && planner_.withdraw(what)) finish(what);
    }
    const auto settles = [](const exchange& oldest) {
        return oldest.operations.front()->in_doubt != nullptr;
    };
    connections_.abandon_if(settles, "the store was closed");
}

error engine::error_of(const operation& what, const wire::reply& answer) {
    const auto& failure = answer.failure;
    if (what.in_doubt) return outcome_unknown(what, "the server could not be asked: " + failure.message);
    if (answer.outcome == wire::reply::status::broken &&
        (failure.sqlstate.empty() || failure.sqlstate[0] != '2'))
        return lost_too_often(what, failure);
    return error::from_server(failure.sqlstate, what.name(), failure.message);
}

error engine::lost_too_often(const operation& what, const wire::server_error& failure) {
    error result(errc::unavailable, what.name(),
                 "the connection was lost again and again: " + failure.message);
    return result.with_sqlstate(failure.sqlstate);
}

error engine::outcome_unknown(const operation& what, std::string_view reason) {
    const auto& lost = what.in_doubt->why;
    error result(errc::outcome_unknown, what.name(),
                 "the connection was lost after the write was sent (" + lost.message +
                     "): it may have been applied, and " + std::string(reason) +
                     "; load the state to find out");
    return result.with_sqlstate(lost.sqlstate);
}

void engine::send_again(exchange& of) {
    for (auto& each : of.operations) {
        if (each->completed && !keeps_its_turn(*each)) { // nobody waits for it any more
            end(*each);
        } else {
            planner_.again(*each);
        }
    }
}

void engine::pause_then_send_again(const std::shared_ptr<exchange>& of) {
    std::size_t attempts = 1;
    for (const auto& each : of->operations)
        attempts = std::max(attempts, each->attempts);
    pause(attempts, [this, of] { send_again(*of); });
}

/// Calls `then` in the strand after a pause that grows with `attempts`, and is longer where they were many.
void engine::pause(std::size_t attempts, std::function<void()> then) {
    const auto length =
        pool::backoff(std::max<std::size_t>(attempts, 1), std::uniform_real_distribution<>(0, 1)(random_)) /
        8;
    auto timer = std::make_shared<boost::asio::steady_timer>(strand_, length);
    timer->async_wait([self = shared_from_this(), timer, then = std::move(then)](auto) {
        then();
        self->dispatch();
    });
}

} // namespace pgstate::batch
