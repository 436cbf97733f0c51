#include "batch/engine.hpp"
#include "batch/retry.hpp"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace pgstate::batch {

// What the engine makes of statements that fail: repeats, errors, and writes that may have been applied. In the strand.

void engine::failed(const std::shared_ptr<flight>& of, const wire::reply& answer) {
    auto& operations = of->operations;
    incident what;
    what.write = is_write(operations.front()->what);
    what.operations = operations.size();
    what.broken = answer.outcome == wire::reply::status::broken;
    what.failure = answer.failure;
    what.adapted = !answer.failure.sqlstate.empty() && sql_->adapt(operations, answer);
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
    case verdict::retry_now:
    case verdict::retry_adapted: return send_again(*of);
    case verdict::settle: return doubt_outcome(*of, answer);
    case verdict::fail:
        for (auto& each : operations) {
            complete_failed(*each, error_of(*each, answer));
            end(*each);
        }
    }
}

/// A write's connection broke after it was sent: each of its operations finds out by itself what has become of it.
/// Meanwhile it keeps its turn for the key.
void engine::doubt_outcome(flight& of, const wire::reply& answer) {
    const auto on = of.on.lock();
    for (auto& each : of.operations) {
        if (each->completed) {
            end(*each);
            continue;
        }
        each->in_doubt = std::make_unique<doubt>();
        auto& open = *each->in_doubt;
        open.asked = each->what;
        open.alone = each->alone;
        open.attempts = each->attempts;
        if (on) open.lost = on->lease->backend();
        open.sent = of.sent;
        open.why = answer.failure;
        each->alone = true;
        each->attempts = 0;
        ask_again(*each, kind::settle);
    }
}

/// First the row is looked at: mostly it tells. Where it does not, the server's process that had the write must have ended
/// before it is looked at once more, as until then the write may still come to be applied.
void engine::go_on_settling(operation& what, const wire::rows& rows, int row) {
    if (what.completed) return end(what);
    auto& open = *what.in_doubt;
    try {
        if (what.what == kind::fence) {
            open.fenced = sql_->fenced(rows);
            if (!open.fenced && what.attempts >= most_attempts)
                return give_up_settling(what, "the server is still at work on it");
            return ask_again(what, open.fenced ? kind::settle : kind::fence);
        }
        switch (sql_->judge(what, rows, row)) {
        case settlement::applied:
            what.what = open.asked;
            what.in_doubt.reset();
            settle(what, rows, row);
            return end(what);
        case settlement::not_applied: return send_what_was_not_applied(what);
        case settlement::open:
            if (open.lost.pid != 0) return ask_again(what, kind::fence);
            return give_up_settling(what, "a pooler hides which process of the server had it");
        case settlement::unknown:
            return give_up_settling(what, row < 0 ? "there is no state now"
                                                  : "somebody else has written the state since");
        }
    } catch (const error& nonsense) {
        give_up_settling(what, nonsense.what());
    }
}

void engine::send_what_was_not_applied(operation& what) {
    const auto before = std::exchange(what.in_doubt, nullptr);
    what.alone = before->alone;
    what.attempts = before->attempts;
    if (what.attempts >= most_attempts) {
        complete_failed(what, lost_too_often(what, before->why));
        return end(what);
    }
    retries_.fetch_add(1, std::memory_order_relaxed);
    ask_again(what, before->asked);
}

void engine::give_up_settling(operation& what, std::string_view reason) {
    complete_failed(what, outcome_unknown(what, reason));
    end(what);
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

void engine::send_again(flight& of) {
    for (auto& each : of.operations) {
        if (each->completed) { // nobody waits for it any more
            end(*each);
        } else {
            planner_.again(*each);
        }
    }
}

void engine::pause_then_send_again(const std::shared_ptr<flight>& of) {
    std::size_t attempts = 1;
    for (const auto& each : of->operations)
        attempts = std::max(attempts, each->attempts);
    const auto pause = pool::backoff(attempts, std::uniform_real_distribution<>(0, 1)(random_)) / 8;
    auto timer = std::make_shared<boost::asio::steady_timer>(strand_, pause);
    timer->async_wait([self = shared_from_this(), timer, of](auto) {
        self->send_again(*of);
        self->dispatch();
    });
}

} // namespace pgstate::batch
