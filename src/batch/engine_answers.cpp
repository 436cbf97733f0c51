#include "batch/engine.hpp"
#include "batch/retry.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace pgstate::batch {
namespace {

// Keys of locked rows that are remembered: as many as may be locked for long by somebody else.
constexpr std::size_t most_locked_keys = 1024;

// Runs of servers that are remembered: more than are ever met within the time of a write.
constexpr std::size_t most_horizons = 8;

const operation_type& sent_as(const exchange& of) noexcept {
    return static_cast<const operation_type&>(*of.operations.front()->type);
}

/// Whether it is to find out about a write in doubt, or to end the process that had it. Such statements are not shared.
bool asks_of_doubt(const exchange& of) noexcept {
    return of.operations.front()->life.in_doubt();
}

} // namespace

// What answers, refusals and lost connections mean for each operation of a statement. In the strand.

void engine::answered(const std::shared_ptr<exchange>& of, wire::reply answer) {
    const auto on = of->on.lock();
    if (on) std::erase(on->exchanges, of);
    if (of->tells_size && answer.before.size() > 0) sql_->learn(answer.before);
    if (!answer.failure.sqlstate.empty()) sql_->censor(answer.failure, answer.refused_before);
    bytes_received_.fetch_add(answer.data.bytes(), std::memory_order_relaxed);
    if (of->watch) note_answered(*of, answer);
    if (of->operations.empty()) return dispatch(); // it could not be sent as a whole, and that was told
    if (answer.outcome == wire::reply::status::ok && on && on->lease->standby() && asks_of_doubt(*of))
        ask_elsewhere(*of, *on);
    else if (answer.outcome == wire::reply::status::ok)
        succeed(*of, on ? on->lease->backend().of : wire::incarnation(), answer.data);
    else
        fail(*of, answer);
    if (of->watch) boost::asio::post(pool_->executor(), [watch = std::move(of->watch)] { watch->report(); });
    // A small rest goes together with what the callers who have just been answered come back with, rather than alone.
    if (planner_.ready() == 0 || 2 * planner_.ready() >= planner_.share(connections_.sharing()))
        return dispatch();
    completed_.flush();
    boost::asio::post(strand_, [self = shared_from_this()] { self->dispatch(); });
}

void engine::succeed(exchange& of, const wire::incarnation& answered_by, const wire::rows& rows) {
    const auto& type = sent_as(of);
    if (of.operations.front()->how != manner::waiting) usual_.add(type, clock::now() - of.sent);
    std::vector<int> row_of;
    try {
        learn_horizon(of, answered_by, rows);
        row_of = type.pair(of.operations, rows);
    } catch (const error& nonsense) {
        for (auto& each : of.operations)
            feed(*each, event::nonsense, {.failure = &nonsense, .reason = nonsense.what()});
        return;
    }
    for (std::size_t i = 0; i < of.operations.size(); ++i) {
        auto& each = *of.operations[i];
        cause found{.rows = &rows, .row = row_of[i]};
        try {
            const auto happened =
                each.life.in_doubt() ? outcome_of_lost(each, answered_by, found) : outcome_of(each, found);
            if (happened == event::undecidable)
                found.reason =
                    found.row < 0 ? "there is no state now" : "another writer has written the state since";
            feed(each, happened, found);
        } catch (const error& nonsense) {
            feed(each, event::nonsense, {.failure = &nonsense, .reason = nonsense.what()});
        }
    }
}

/// A standby may be behind, and has none of the primary's processes: what it says of a write in doubt is no answer.
void engine::ask_elsewhere(exchange& of, leased_connection& on) {
    on.retiring = true;
    retries_.fetch_add(of.operations.size(), std::memory_order_relaxed);
    for (auto& each : of.operations)
        feed(*each, event::refused_for_now, {.reason = "only a standby could be asked"});
}

/// \pre it is not in doubt
event engine::outcome_of(operation& what, const cause& found) {
    switch (what.life.as) {
    case life::phase::looking:
        if (!sql_->locked(*found.rows, found.row)) {
            locked_keys_.erase(what.key_hash);
            return event::unlocked;
        }
        if (locked_keys_.size() >= most_locked_keys) locked_keys_.clear();
        locked_keys_.insert(what.key_hash);
        return event::locked;
    case life::phase::probing:
        if (what.life.who == life::caller::waiting && what.wants_retry(*found.rows, found.row)) {
            retries_.fetch_add(1, std::memory_order_relaxed);
            return event::contradicted;
        }
        return event::answered;
    case life::phase::waiting: locked_keys_.erase(what.key_hash); break;
    default: break;
    }
    if (found.row == send_alone) {
        retries_.fetch_add(1, std::memory_order_relaxed);
        return event::unpaired;
    }
    if (found.row >= 0 || !what.probes()) return event::answered;
    // What it conflicted with is read by a statement of its own: this one saw the table as it was before it waited for the
    // other writer.
    if (what.life.who == life::caller::waiting && what.conditional())
        conflicts_.fetch_add(1, std::memory_order_relaxed);
    return event::conflicted;
}

/// First the row is read: mostly it tells. Where it does not, the server process that had the write must have ended before
/// the row is read again, as until then the write may still be applied.
event engine::outcome_of_lost(operation& what, const wire::incarnation& answered_by, const cause& found) {
    if (what.life.as == life::phase::fencing)
        return sql_->fenced(*found.rows) ? event::process_ended : event::process_alive;
    switch (sql_->judge(what, answered_by, *found.rows, found.row)) {
    case settlement::applied: what.type = what.asked; return event::answered; // the row is its own
    case settlement::not_applied: retries_.fetch_add(1, std::memory_order_relaxed); return event::not_applied;
    case settlement::open: return event::undecided;
    case settlement::unknown: break;
    }
    return event::undecidable;
}

void engine::fail(exchange& of, const wire::reply& answer) {
    incident what;
    what.operations = of.operations.size();
    what.broken = answer.outcome == wire::reply::status::broken;
    what.time_limited = of.limits.statement.has_value();
    what.locks_limited = of.limits.lock.has_value();
    what.settles = asks_of_doubt(of);
    what.failure = answer.failure;
    for (const auto& each : of.operations)
        what.attempts = std::max<std::size_t>(what.attempts, each->life.attempts());
    const auto happened = classify(what);

    const bool settles = happened == event::lost && of.operations.front()->life.may_be_applied();
    if (const auto reason = reason_to_send_again(happened); !reason.empty() && !settles) {
        retries_.fetch_add(of.operations.size(), std::memory_order_relaxed);
        if (of.watch) of.watch->sent_again(reason);
    }
    const auto on = of.on.lock();
    if (on && blames_connection(answer.failure.sqlstate)) on->retiring = true;
    for (auto& each : of.operations) {
        if (happened == event::lost && each->life.may_be_applied() && !each->life.in_doubt()) {
            each->in_doubt = std::make_unique<doubt>();
            if (on) each->in_doubt->lost = on->lease->backend();
            each->in_doubt->sent_at = of.sent_at;
            each->in_doubt->why = answer.failure;
            each->life.traceable = each->in_doubt->lost.pid != 0;
        }
        std::string unasked;
        if (each->life.in_doubt()) unasked = "the server could not be asked: " + answer.failure.message;
        feed(*each, happened, {.refusal = &answer.failure, .reason = unasked});
    }
}

/// The highest horizon that is known of the run of the server at the other end. There is one before the first answer: that of
/// when the connection was made.
horizon engine::horizon_on(const wire::backend& connected) const noexcept {
    horizon highest{connected.of, connected.of.known() ? connected.xmin : 0};
    const auto answered = std::ranges::find(horizons_, connected.of, &horizon::of);
    if (answered != horizons_.end()) highest.xmin = std::max(highest.xmin, answered->xmin);
    return highest;
}

void engine::learn_horizon(const exchange& of, const wire::incarnation& answered_by, const wire::rows& rows) {
    const auto xmin = sent_as(of).horizon(rows);
    if (!xmin || !answered_by.known()) return;
    auto at = std::ranges::find(horizons_, answered_by, &horizon::of);
    if (at == horizons_.end()) {
        if (horizons_.size() == most_horizons) horizons_.erase(horizons_.begin());
        at = horizons_.insert(horizons_.end(), horizon{answered_by, 0});
    }
    at->xmin = std::max(at->xmin, *xmin);
}

void engine::note_answered(exchange& of, const wire::reply& answer) {
    std::string failure;
    if (answer.outcome == wire::reply::status::refused)
        failure = answer.failure.sqlstate.empty() ? "_OTHER" : answer.failure.sqlstate;
    else if (answer.outcome == wire::reply::status::broken)
        failure = "connection_lost";
    of.watch->answered(answer.data.size(), std::move(failure));
    for (const auto& each : of.operations)
        if (each->life.who == life::caller::waiting)
            each->watch->answered(of.watch->answered_at()); // else it is its caller's by now
}

} // namespace pgstate::batch
