#include "batch/engine.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::batch {

// The lives of operations: events are fed to their state machines, and its steps carried out. In the strand.

void engine::feed(operation& what, event happened, const cause& of) {
    const auto next = resume(what.life, happened);
    if (next.tell != verdict::none) tell(what, next.tell, of);
    switch (next.go) {
    case move::stay: break;
    case move::enqueue: enqueue(what); break;
    case move::pause: pausing_.emplace_back(&what); break;
    case move::end: end(what); break;
    }
}

void engine::enqueue(operation& what) {
    if (!what.life.in_doubt()) what.in_doubt.reset();
    what.type = &type_for(what);
    what.how = what.life.as == life::phase::waiting ? manner::waiting
               : what.life.alone                    ? manner::alone
                                                    : manner::shared;
    if (what.state == item::status::outside)
        planner_.submit(what);
    else
        planner_.again(what);
}

const operation_type& engine::type_for(const operation& what) const noexcept {
    switch (what.life.as) {
    case life::phase::looking: return sql_->look();
    case life::phase::probing: return sql_->probe(what);
    case life::phase::settling:
    case life::phase::fenced: return sql_->settle();
    case life::phase::fencing: return sql_->fence();
    case life::phase::asked:
    case life::phase::waiting:
    case life::phase::abandoned: break;
    }
    return static_cast<const operation_type&>(*what.asked);
}

/// Whoever waits for its key may go.
void engine::end(operation& what) {
    if (what.state == item::status::sent)
        planner_.finished(what);
    else
        planner_.withdraw(what);
    finish(what);
}

void engine::finish(operation& what) {
    forget_deadline(what);
    open_.erase(open_.iterator_to(what));
    intrusive_ptr_release(&what);
}

void engine::tell(operation& what, verdict outcome, const cause& of) {
    if (what.accepted.is_linked()) --waiting_callers_;
    forget_deadline(what);
    if (outcome == verdict::answer)
        what.set_answer(*of.rows, of.row);
    else
        what.set_failure(failure_of(what, outcome, of));
    completed_.add(&what);
}

namespace {

std::string_view why_unknown(const operation& what, std::string_view given) {
    if (!given.empty()) return given;
    if (what.in_doubt && what.in_doubt->lost.pid == 0)
        return "a pooler hides which process of the server had it";
    return "the server is still at work on it";
}

error outcome_unknown(const operation& what, std::string_view reason) {
    const std::string how = what.in_doubt ? "the connection was lost after the write was sent (" +
                                                what.in_doubt->why.message + ")"
                                          : "the write was sent, and its answer was not awaited";
    error result(errc::outcome_unknown, what.name(),
                 how + ": it may have been applied, and " + std::string(why_unknown(what, reason)) +
                     "; load the state to find out");
    if (what.in_doubt) result.with_sqlstate(what.in_doubt->why.sqlstate);
    return result;
}

} // namespace

error engine::failure_of(const operation& what, verdict outcome, const cause& of) const {
    const auto failed = [&](errc code, std::string_view message) {
        return error(code, what.name(), message);
    };
    switch (outcome) {
    case verdict::aborted: return error(boost::asio::error::operation_aborted, what.name());
    case verdict::closed: return error(errc::closed, what.name());
    case verdict::timed_out_queued:
        return connections_.starved()
                   ? pool_->exhausted(what.name())
                   : failed(errc::timed_out, "its time ran out while it was queued; it was not sent");
    case verdict::timed_out_refused:
        return failed(errc::timed_out,
                      what.writes() ? "its time ran out before the server accepted it; it was not applied"
                                    : "its time ran out before the server answered it");
    case verdict::timed_out_locked:
        return failed(errc::timed_out,
                      "its time ran out while another session held a lock on the state's row or table; "
                      "it was not applied");
    case verdict::timed_out_read:
        return failed(errc::timed_out, "its time ran out while the server was at work on it");
    case verdict::timed_out_write:
        return failed(errc::timed_out, "its time ran out after it was sent: the write may have been applied");
    case verdict::outcome_unknown: return outcome_unknown(what, of.reason);
    case verdict::refusal: return error::from_server(of.refusal->sqlstate, what.name(), of.refusal->message);
    case verdict::lost_too_often: {
        const auto& lost = what.in_doubt ? what.in_doubt->why : *of.refusal;
        auto result = failed(errc::unavailable, "the connection was lost again and again: " + lost.message);
        return result.with_sqlstate(lost.sqlstate);
    }
    case verdict::contradiction:
        return failed(
            errc::schema_mismatch,
            "the server neither wrote the state nor showed one that it conflicts with: a trigger, a rule or "
            "a row-level security policy of the table suppresses the write or hides the row");
    case verdict::no_connection: {
        error result(of.failure->code(), what.name(), of.failure->what());
        return result.with_sqlstate(of.failure->sqlstate()).with_cause(of.failure->cause());
    }
    case verdict::no_memory:
        return error(boost::system::errc::make_error_code(boost::system::errc::not_enough_memory),
                     what.name(), "no memory for the statement");
    case verdict::nonsense: return error(of.failure->code(), what.name(), of.failure->what());
    case verdict::none:
    case verdict::answer: break;
    }
    return failed(errc::corrupt_state, "no outcome");
}

// --- pauses and deadlines ----------------------------------------------------------------------------------------

/// Those that begin their pause in one turn go on together.
void engine::start_pauses() {
    if (pausing_.empty()) return;
    std::uint8_t pauses = 1;
    for (const auto& each : pausing_)
        pauses = std::max(pauses, each->life.pauses);
    const auto length = pool::backoff(pauses, std::uniform_real_distribution<>(0, 1)(random_)) / 8;
    auto timer = std::make_shared<boost::asio::steady_timer>(strand_, length);
    timer->async_wait([self = shared_from_this(), timer, those = std::exchange(pausing_, {})](auto) {
        for (const auto& each : those)
            self->feed(*each, event::pause_over);
        self->dispatch();
    });
}

void engine::forget_deadline(operation& what) {
    if (what.by_deadline.is_linked()) deadlines_.erase(deadlines_.iterator_to(what));
}

clock::time_point engine::next_time() const noexcept {
    const auto overdue = connections_.first_overdue();
    return deadlines_.empty() ? overdue : std::min(deadlines_.begin()->deadline, overdue);
}

void engine::watch_times() {
    const auto next = next_time();
    if (next >= timer_at_)
        return; // it fires early and looks again; end_turn() sees to a timer that nobody needs
    timer_at_ = next;
    timer_.expires_at(next);
    timer_.async_wait([self = shared_from_this()](auto stopped) {
        if (stopped) return;
        self->timer_at_ = clock::time_point::max();
        self->expire();
        self->dispatch();
    });
}

/// Nobody waits: a timer left running would keep the event loop alive.
void engine::stop_watching() {
    if (timer_at_ == clock::time_point::max() || next_time() != clock::time_point::max()) return;
    timer_at_ = clock::time_point::max();
    timer_.cancel();
}

/// A caller who goes on at once finds the timer still set: to stop and set it for each operation costs a lone caller
/// more than all else that the engine does.
void engine::delivered() {
    if (incoming_.empty()) boost::asio::post(strand_, [self = shared_from_this()] { self->stop_watching(); });
}

void engine::expire() {
    const auto now = clock::now();
    while (!deadlines_.empty() && deadlines_.begin()->deadline <= now)
        feed(*deadlines_.begin(), event::deadline);
    // The server ends every statement by itself before this.
    connections_.abandon_if([now](const exchange& oldest) { return oldest.overdue <= now; },
                            "the server did not answer in time");
}

// --- the end of the store ----------------------------------------------------------------------------------------

/// The store is being closed, and every caller has an outcome: no operation follows those that are left.
bool engine::only_settling_is_left() const noexcept {
    return !close_handlers_.empty() && waiting_callers_ == 0 &&
           std::ranges::any_of(open_, [](const auto& each) { return each.life.in_doubt(); });
}

/// \param all  not only the writes in doubt
void engine::abandon(bool all, const std::string& why) {
    for (auto at = open_.begin(); at != open_.end();) {
        auto& each = *at++;
        if (all || each.life.in_doubt()) feed(each, event::shut_down, {.reason = why});
    }
    connections_.abandon_if(
        [](const exchange& oldest) { return oldest.operations.front()->life.as == life::phase::abandoned; },
        why);
}

} // namespace pgstate::batch
