#include "batch/engine.hpp"

#include "batch/retry.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/container/static_vector.hpp>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace pgstate::batch {
namespace {

// Runs of servers that are remembered: more than are ever met within the time of a write.
constexpr std::size_t most_horizons = 8;

const operation_type& type_of(const operation& what) noexcept {
    return static_cast<const operation_type&>(*what.type);
}

} // namespace

engine::engine(std::shared_ptr<pool::core> pool, std::shared_ptr<dialect> sql, std::size_t most_connections)
    : pool_(std::move(pool)), sql_(std::move(sql)), strand_(boost::asio::make_strand(pool_->executor())),
      most_long_(planner::most_long(most_connections)), planner_(pool_->config().batch),
      connections_(pool_, strand_, most_connections), timer_(strand_), completed_(pool_->executor()) {}

engine::~engine() {
    // Something is left only when the event loop was destroyed with operations in it: nobody is there to be told.
    deadlines_.clear();
    open_.clear_and_dispose([this](operation* what) {
        planner_.withdraw(*what);
        intrusive_ptr_release(what);
    });
}

// --- from any thread ---------------------------------------------------------------------------------------------

void engine::submit(operation_ptr what) {
    switch (incoming_.add(what)) {
    case intake::added::first:
        boost::asio::post(strand_, [self = shared_from_this()] { self->take_in(); });
        break;
    case intake::added::another: break;
    case intake::added::refused: {
        error closed(errc::closed, what->name());
        refuse(std::move(what), std::move(closed));
        break;
    }
    }
}

void engine::refuse(operation_ptr what, error why) {
    what->set_failure(std::move(why));
    delivery refused(pool_->executor());
    refused.add(std::move(what));
    refused.flush();
}

void engine::cancel(operation_ptr what) {
    boost::asio::post(strand_, [self = shared_from_this(), what = std::move(what)] {
        if (what->completed) return;
        self->complete(*what, error(boost::asio::error::operation_aborted, what->name()));
        if (!keeps_its_turn(*what) && self->planner_.withdraw(*what)) self->finish(*what);
        self->end_turn();
    });
}

void engine::close(std::function<void()> done) {
    auto last = std::make_shared<intake::list>(incoming_.close());
    boost::asio::post(strand_, [self = shared_from_this(), last, done = std::move(done)]() mutable {
        self->accept(std::move(*last));
        self->close_handlers_.push_back(std::move(done));
        self->dispatch();
    });
}

void engine::shut_down() {
    auto last = std::make_shared<intake::list>(incoming_.close());
    boost::asio::post(strand_, [self = shared_from_this(), last] {
        self->accept(std::move(*last));
        self->shut_ = true;
        for (auto& each : self->open_)
            self->complete(each, each.in_doubt ? outcome_unknown(each, "the store was destroyed")
                                               : error(errc::closed, each.name()));
        self->connections_.abandon_if([](const exchange&) { return true; }, "the store was destroyed");
        self->dispatch();
    });
}

counters engine::count() const noexcept {
    return {operations_.load(std::memory_order_relaxed),      statements_.load(std::memory_order_relaxed),
            operations_sent_.load(std::memory_order_relaxed), retries_.load(std::memory_order_relaxed),
            conflicts_.load(std::memory_order_relaxed),       bytes_sent_.load(std::memory_order_relaxed),
            bytes_received_.load(std::memory_order_relaxed),  queued_.load(std::memory_order_relaxed)};
}

// --- in the strand -----------------------------------------------------------------------------------------------

void engine::take_in() {
    accept(incoming_.take());
    dispatch();
}

void engine::accept(intake::list arrived) {
    std::uint64_t count = 0;
    while (auto each = arrived.pop()) {
        auto& what = *each.detach(); // the reference is given up in finish()
        open_.push_back(what);
        if (what.deadline != clock::time_point::max()) deadlines_.insert(deadlines_.end(), what);
        planner_.submit(what);
        ++count;
    }
    waiting_callers_ += count;
    operations_.fetch_add(count, std::memory_order_relaxed);
    if (waiting_callers_ > 0 && !work_)
        work_ = boost::asio::prefer(pool_->executor(), boost::asio::execution::outstanding_work.tracked);
}

void engine::dispatch() {
    if (shut_) fail_everything([](const operation& what) { return error(errc::closed, what.name()); });
    connections_.drop_unusable();
    if (planner_.sendable(most_long_) > 0 && connections_.others_wait())
        connections_.give_back_idle(); // and ask again, behind those who wait
    while (const auto sendable = planner_.sendable(most_long_)) {
        connections_.ask_for(sendable, connection_listener());
        // An idle connection, or one where a second statement may follow the first: that place is for a whole share. A
        // smaller rest gains more by waiting for others to share its statement, until a connection is free.
        const bool whole_share =
            planner_.ready() >= planner_.share(std::max<std::size_t>(connections_.size(), 2));
        const auto on = connections_.choose(whole_share && !connections_.others_wait());
        if (!on) break;
        send(on, planner_.next(connections_.size() + connections_.requested(), most_long_));
    }
    end_turn();
}

std::weak_ptr<connection_set::listener> engine::connection_listener() {
    return std::shared_ptr<connection_set::listener>(shared_from_this(), this);
}

void engine::acquired(const connection_set::request& asked, pool::lease got) {
    connections_.add(asked, std::move(got));
    dispatch();
}

void engine::refused(const connection_set::request& asked, const error& why) {
    connections_.forget(asked);
    if (connections_.size() + connections_.requested() == 0)
        fail_everything([&](const operation& what) {
            if (why == errc::closed) return error(errc::closed, what.name());
            error failure(why.code(), what.name(), why.what());
            return failure.with_sqlstate(why.sqlstate()).with_cause(why.cause());
        });
    dispatch();
}

void engine::send(const std::shared_ptr<leased_connection>& on, std::vector<item*> batch) {
    auto what = std::make_shared<exchange>();
    for (auto* each : batch)
        what->operations.emplace_back(static_cast<operation*>(each));
    what->on = on;
    std::size_t attempts = 0;
    for (auto& each : what->operations)
        attempts = std::max(attempts, ++each->attempts);
    statements_.fetch_add(1, std::memory_order_relaxed);
    operations_sent_.fetch_add(what->operations.size(), std::memory_order_relaxed);
    try {
        const auto command = type_of(*what->operations.front()).build(what->operations);
        // What was refused twice may have been for what is prepared on the server (see decide): it goes without.
        const auto mode = attempts > 2 ? statement_mode::unnamed : pool_->config().statements;
        bytes_sent_.fetch_add(command.values.bytes(), std::memory_order_relaxed);
        boost::container::static_vector<wire::step, 1> before;
        if (command.before) before.push_back({&command.before->what, &command.before->values});
        what->sent_at = horizon_on(on->lease->backend());
        if (pool_->telemetry()) watch_statement(*what, *on, *command.what);
        on->exchanges.push_back(what);
        on->lease->send(*command.what, command.values, mode,
                        [weak = weak_from_this(), what](wire::reply answer) {
                            if (const auto self = weak.lock()) self->answered(what, std::move(answer));
                        },
                        {before.data(), before.size()});
    } catch (const std::bad_alloc&) {
        std::erase(on->exchanges, what);
        for (auto& each : what->operations) {
            complete(*each,
                     error(boost::system::errc::make_error_code(boost::system::errc::not_enough_memory),
                           each->name(), "no memory for the statement"));
            end(*each);
        }
    }
}

void engine::answered(const std::shared_ptr<exchange>& of, wire::reply answer) {
    const auto on = of->on.lock();
    if (on) std::erase(on->exchanges, of);
    if (answer.before.size() > 0) sql_->learn(answer.before);
    if (!answer.failure.sqlstate.empty()) sql_->censor(answer.failure, answer.refused_first);
    bytes_received_.fetch_add(answer.data.bytes(), std::memory_order_relaxed);
    if (of->watch) note_answered(*of, answer);
    if (answer.outcome == wire::reply::status::ok)
        succeed(*of, on ? on->lease->backend().of : wire::incarnation(), answer.data);
    else
        failed(of, answer);
    if (of->watch) boost::asio::post(pool_->executor(), [watch = std::move(of->watch)] { watch->report(); });
    // A small rest goes together with what the callers who have just been answered come back with, rather than alone.
    if (planner_.ready() == 0 || 2 * planner_.ready() >= planner_.share(connections_.size()))
        return dispatch();
    completed_.flush();
    boost::asio::post(strand_, [self = shared_from_this()] { self->dispatch(); });
}

void engine::succeed(exchange& of, const wire::incarnation& answered_by, const wire::rows& rows) {
    std::vector<int> row_of;
    try {
        learn_horizon(of, answered_by, rows);
        row_of = type_of(*of.operations.front()).pair(of.operations, rows);
    } catch (const error& nonsense) {
        for (auto& each : of.operations) {
            if (each->in_doubt) {
                settled_by_nonsense(*each, nonsense);
                continue;
            }
            complete(*each, error(nonsense.code(), each->name(), nonsense.what()));
            end(*each);
        }
        return;
    }
    for (std::size_t i = 0; i < of.operations.size(); ++i) {
        auto& each = *of.operations[i];
        const bool probed = each.type == &sql_->probe();
        if (each.in_doubt) {
            settle(each, answered_by, rows, row_of[i]);
        } else if (row_of[i] < 0 && each.conditional() && !probed && !each.completed) {
            // What it conflicted with is read by a statement of its own: this one saw the table as it was before it
            // waited for the other writer.
            conflicts_.fetch_add(1, std::memory_order_relaxed);
            send_as(each, sql_->probe());
        } else if (probed && !each.completed && each.wants_retry(rows, row_of[i])) {
            retries_.fetch_add(1, std::memory_order_relaxed);
            each.alone = true;
            send_as(each, *each.asked);
        } else {
            complete(each, rows, row_of[i]);
            end(each);
        }
    }
}

/// It is over, and its turn for the key with it.
void engine::end(operation& what) {
    planner_.finished(what);
    finish(what);
}

void engine::send_as(operation& what, const traits& next) {
    what.type = &next;
    planner_.again(what);
}

void engine::complete(operation& what, const wire::rows& rows, int row) {
    if (what.completed) return;
    what.completed = true;
    --waiting_callers_;
    forget_deadline(what);
    what.set_answer(rows, row);
    completed_.add(&what);
}

void engine::complete(operation& what, error why) {
    if (what.completed) return;
    what.completed = true;
    --waiting_callers_;
    forget_deadline(what);
    what.set_failure(std::move(why));
    completed_.add(&what);
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
    const auto xmin = type_of(*of.operations.front()).horizon(rows);
    if (!xmin || !answered_by.known()) return;
    auto at = std::ranges::find(horizons_, answered_by, &horizon::of);
    if (at == horizons_.end()) {
        if (horizons_.size() == most_horizons) horizons_.erase(horizons_.begin());
        at = horizons_.insert(horizons_.end(), horizon{answered_by, 0});
    }
    at->xmin = std::max(at->xmin, *xmin);
}

// What telemetry reports of a statement is noted here and reported elsewhere: the user's code must not hold up the strand.

void engine::watch_statement(exchange& what, leased_connection& on, const wire::statement& statement) {
    const auto& hub = pool_->telemetry();
    telemetry::sent_statement sent;
    sent.operation = what.operations.front()->id;
    sent.summary = statement.verb.empty() ? statement.sql.substr(0, statement.sql.find(' ')) : statement.verb;
    sent.summary.append(" ").append(hub->where().table);
    sent.name = statement.name;
    sent.operations = what.operations.size();
    for (const auto& each : what.operations)
        sent.attempt = std::max(sent.attempt, each->attempts);
    what.watch = std::make_unique<telemetry::statement_watch>(hub, std::move(sent),
                                                              std::exchange(on.acquire_wait, std::nullopt));
    for (const auto& each : what.operations)
        if (!each->completed) what.watch->carry(*each->watch, on.acquired);
}

void engine::note_answered(exchange& of, const wire::reply& answer) {
    std::string failure;
    if (answer.outcome == wire::reply::status::refused)
        failure = answer.failure.sqlstate.empty() ? "_OTHER" : answer.failure.sqlstate;
    else if (answer.outcome == wire::reply::status::broken)
        failure = "connection_lost";
    of.watch->answered(answer.data.size(), std::move(failure));
    for (const auto& each : of.operations)
        if (!each->completed)
            each->watch->answered(of.watch->answered_at()); // else it is its caller's by now
}

/// It has left the planner.
void engine::finish(operation& what) {
    forget_deadline(what);
    open_.erase(open_.iterator_to(what));
    intrusive_ptr_release(&what);
}

void engine::forget_deadline(operation& what) {
    if (what.by_deadline.is_linked()) deadlines_.erase(deadlines_.iterator_to(what));
}

void engine::watch_deadlines() {
    if (deadlines_.empty()) return; // end_turn() sees to the timer
    const auto next = deadlines_.begin()->deadline;
    if (next >= timer_at_) return; // it fires early and looks again
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
    if (!deadlines_.empty() || timer_at_ == clock::time_point::max()) return;
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
    while (!deadlines_.empty() && deadlines_.begin()->deadline <= now) {
        auto& what = *deadlines_.begin();
        what.expired = true;
        if (what.state == item::status::sent || what.in_doubt)
            complete(what, error(errc::timed_out, what.name(),
                                 what.writes()
                                     ? "its time ran out after it was sent: the write may have been applied"
                                     : "its time ran out while the server was at work on it"));
        else
            complete(what, connections_.starved()
                               ? pool_->exhausted(what.name())
                               : error(errc::timed_out, what.name(),
                                       "its time ran out while it was queued; it was not sent"));
        if (!keeps_its_turn(what) && planner_.withdraw(what)) finish(what);
    }
    // One whose oldest statement nobody waits for because everybody's time ran out is stuck, for all we know.
    const auto silent = [](const exchange& oldest) {
        return std::all_of(oldest.operations.begin(), oldest.operations.end(),
                           [](const auto& each) { return each->expired; });
    };
    connections_.abandon_if(silent, "the server did not answer in time");
}

void engine::fail_everything(const std::function<error(const operation&)>& why) {
    std::vector<operation*> doubtful;
    for (auto batch = planner_.next(1); !batch.empty(); batch = planner_.next(1))
        for (auto* each : batch) {
            auto& what = static_cast<operation&>(*each);
            const auto failure = why(what);
            complete(what, what.in_doubt ? outcome_unknown(what, failure.what()) : failure);
            if (keeps_its_turn(what) && failure != errc::closed)
                doubtful.push_back(&what);
            else
                end(what);
        }
    for (auto* each : doubtful)
        fence_again(*each);
}

void engine::after_change() {
    if (only_settling_is_left()) give_up_settling();
    if (planner_.sendable(most_long_) == 0) {
        connections_.give_back_idle();
        connections_.withdraw_requests();
    } else {
        connections_.drop_unusable();
    }
    watch_deadlines();
    if (!open_.empty() || close_handlers_.empty()) return;
    const auto done = std::exchange(close_handlers_, {});
    for (const auto& each : done)
        each();
}

/// Callers are told last: by then the server has its next statements.
void engine::end_turn() {
    after_change();
    queued_.store(planner_.ready() + planner_.blocked(), std::memory_order_relaxed);
    if (!deadlines_.empty()) {
        completed_.flush();
    } else if (completed_.empty()) {
        stop_watching();
    } else {
        completed_.flush(
            std::weak_ptr<delivery::listener>(std::shared_ptr<delivery::listener>(shared_from_this(), this)));
    }
    if (waiting_callers_ == 0) work_.reset(); // what is completed is posted, and counts by itself
}

} // namespace pgstate::batch
