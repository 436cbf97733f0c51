#include "batch/engine.hpp"

#include "detail/cancellation.hpp"

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

/// How long a question about a lost write may take, and the end of the process that had it.
constexpr auto inquiry_time = std::chrono::seconds(5);

} // namespace

engine::engine(std::shared_ptr<pool::core> pool, std::shared_ptr<dialect> sql, std::size_t most_connections)
    : pool_(std::move(pool)), sql_(std::move(sql)), strand_(boost::asio::make_strand(pool_->executor())),
      room_(room_on(most_connections)), planner_(pool_->config().batch),
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
    resume(what->life, event::turned_away);
    what->set_failure(std::move(why));
    delivery refused(pool_->executor());
    refused.add(std::move(what));
    refused.flush();
}

void engine::cancel(operation_ptr what, boost::asio::cancellation_type how) {
    const auto happened = detail::allows_effects(how) ? event::cancelled : event::cancelled_if_unsent;
    boost::asio::post(strand_, [self = shared_from_this(), what = std::move(what), happened] {
        self->feed(*what, happened);
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
        self->abandon(true, "the store was destroyed");
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
        ++count;
        open_.push_back(what);
        auto& life = what.life;
        life.writes = what.exclusive = what.writes();
        life.timed = what.deadline != clock::time_point::max();
        life.may_wait = room_.for_waiting > 0;
        if (life.writes && what.asked->keyed && locked_keys_.contains(what.key_hash))
            life.as = life::phase::looking;
        if (life.who == life::caller::waiting) {
            ++waiting_callers_;
            if (life.timed) deadlines_.insert(deadlines_.end(), what);
        }
        feed(what, event::admitted);
    }
    operations_.fetch_add(count, std::memory_order_relaxed);
    if (waiting_callers_ > 0 && !work_)
        work_ = boost::asio::prefer(pool_->executor(), boost::asio::execution::outstanding_work.tracked);
}

void engine::dispatch() {
    connections_.drop_unusable();
    if (planner_.sendable(room_) > 0 && connections_.others_wait())
        connections_.give_back_idle(); // and ask again, behind those who wait
    while (const auto sendable = planner_.sendable(room_)) {
        connections_.ask_for(sendable, connection_listener());
        // An idle connection, or one where a second statement may follow the first: that place is for a whole share. A
        // smaller rest gains more by waiting for others to share its statement, until a connection is free.
        const bool whole_share =
            planner_.ready() >= planner_.share(std::max<std::size_t>(connections_.sharing(), 2));
        const auto on = connections_.choose(whole_share && !connections_.others_wait());
        if (!on) break;
        send(on, planner_.next(connections_.sharing() + connections_.requested(), room_));
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
    if (connections_.size() + connections_.requested() == 0) no_connection(why);
    dispatch();
}

/// Tells all that could be sent; those behind them for the same key as well.
void engine::no_connection(const error& why) {
    for (auto batch = planner_.next(1); !batch.empty(); batch = planner_.next(1))
        for (auto* each : batch)
            feed(static_cast<operation&>(*each),
                 why == errc::closed ? event::shut_down : event::no_connection,
                 {.failure = &why, .reason = why.what()});
}

void engine::send(const std::shared_ptr<leased_connection>& on, const std::vector<item*>& batch) {
    auto what = std::make_shared<exchange>();
    what->on = on;
    what->sent = clock::now();
    for (auto* each : batch) {
        auto& operation = static_cast<batch::operation&>(*each);
        feed(operation, comes_too_late(operation, what->sent) ? event::outdated : event::sent);
        if (operation.life.at == life::place::sent) what->operations.emplace_back(&operation);
    }
    if (what->operations.empty()) return;
    std::size_t attempts = 0;
    for (const auto& each : what->operations)
        attempts = std::max<std::size_t>(attempts, each->life.attempts());
    statements_.fetch_add(1, std::memory_order_relaxed);
    operations_sent_.fetch_add(what->operations.size(), std::memory_order_relaxed);
    try {
        const auto command = type_for(*what->operations.front()).build(what->operations);
        // What was refused twice may have been for what is prepared on the server (see classify): it goes without.
        const auto mode = attempts > 3 ? statement_mode::unnamed : pool_->config().statements;
        bytes_sent_.fetch_add(command.values.bytes() + command.lock_values.bytes(),
                              std::memory_order_relaxed);
        limit_time(*what, *on);
        boost::container::static_vector<wire::step, 3> before;
        if (what->limits != time_limits{}) before.push_back({&sql_->limits(), &limit_values_});
        if (command.before) before.push_back({&command.before->what, &command.before->values, true});
        if (command.lock) before.push_back({command.lock, &command.lock_values});
        what->tells_size = command.before != nullptr;
        what->sent_at = horizon_on(on->lease->backend());
        if (pool_->telemetry()) watch_statement(*what, *on, *command.what);
        on->exchanges.push_back(what);
        on->lease->send(*command.what, command.values, mode,
                        [weak = weak_from_this(), what](wire::reply answer) {
                            if (const auto self = weak.lock()) self->answered(what, std::move(answer));
                        },
                        {before.data(), before.size()});
    } catch (const std::bad_alloc&) {
        // Part of it may be on its way: the connection is given up with it, and no answer finds anybody.
        const auto unsent = std::exchange(what->operations, {});
        std::erase(on->exchanges, what);
        on->lease->abandon("no memory for a statement");
        for (const auto& each : unsent)
            feed(*each, event::no_memory);
    }
}

/// It would be sent only to be given up: it has spent most of its time in the queue, and what is left is less than such
/// statements take. Without this a queue that is too long for everybody serves nobody.
bool engine::comes_too_late(const operation& what, clock::time_point now) const noexcept {
    if (!what.life.timed || what.life.who == life::caller::told || what.life.in_doubt()) return false;
    const auto left = what.deadline - now;
    return left < 3 * usual_.of(*what.type) / 2 && left < now - what.submitted;
}

/// Gives the statement its end on the server.
void engine::limit_time(exchange& what, const leased_connection& on) {
    const auto& first = *what.operations.front();
    time_frame given;
    given.of_session = pool_->config().operation_timeout;
    given.usual = usual_.of(*first.type);
    given.lock_wait = pool_->config().lock_wait;
    given.locks_rows = first.type->writes && first.type->keyed;
    given.how = first.how;
    auto last = clock::time_point::min();
    for (const auto& each : what.operations)
        last = std::max(last, each->deadline);
    // What became of a write is asked for its key's sake, also when its caller has left.
    if (first.life.in_doubt())
        given.longest = inquiry_time;
    else if (last != clock::time_point::max())
        given.longest = last - what.sent;
    what.limits = limits_in(given);
    if (const auto silence = longest_silence(given)) {
        const bool behind = !on.exchanges.empty() && on.exchanges.back()->overdue != clock::time_point::max();
        what.overdue = (behind ? std::max(what.sent, on.exchanges.back()->overdue) : what.sent) + *silence;
    }
    if (what.limits == limit_values_of_ || what.limits == time_limits{}) return;
    wire::parameters values;
    for (const auto& limit : {what.limits.statement, what.limits.lock})
        limit ? values.add_text(std::to_string(limit->count())) : values.add_null();
    limit_values_ = std::move(values);
    limit_values_of_ = what.limits;
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
        sent.attempt = std::max<std::size_t>(sent.attempt, each->life.attempts());
    what.watch = std::make_unique<telemetry::statement_watch>(hub, std::move(sent),
                                                              std::exchange(on.acquire_wait, std::nullopt));
    for (const auto& each : what.operations)
        if (each->life.who == life::caller::waiting) what.watch->carry(*each->watch, on.acquired);
}

void engine::after_change() {
    if (only_settling_is_left()) abandon(false, "the store was closed");
    start_pauses();
    if (planner_.sendable(room_) == 0) {
        connections_.give_back_idle();
        connections_.withdraw_requests();
    } else {
        connections_.drop_unusable();
    }
    watch_times();
    if (!open_.empty() || close_handlers_.empty()) return;
    const auto done = std::exchange(close_handlers_, {});
    for (const auto& each : done)
        each();
}

/// Callers are told last: by then the server has its next statements.
void engine::end_turn() {
    after_change();
    queued_.store(planner_.ready() + planner_.blocked(), std::memory_order_relaxed);
    if (next_time() != clock::time_point::max()) {
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
