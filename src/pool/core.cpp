#include "pool/core.hpp"

#include "detail/deadline.hpp"
#include "telemetry/instruments.hpp"
#include "wire/connect_message.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace pgstate::pool {
namespace {

/// How often the sockets of connections that were given up are looked at, where there are any.
constexpr auto ending_interval = std::chrono::milliseconds(20);

std::shared_ptr<telemetry::hub> telemetry_of(const settings::resolved_config& config) {
    const auto to = wire::destination_of(config.libpq_conninfo);
    return telemetry::hub::create({config.logger,
                                   config.metrics,
                                   config.tracer,
                                   config.telemetry.slow_operation,
                                   config.telemetry.log_ids,
                                   {to.address, to.port, to.database, config.table.name}});
}

} // namespace

void lease::give_back() noexcept {
    if (entry_) pool_->release(std::move(entry_));
    pool_.reset();
}

std::shared_ptr<core> core::create(boost::asio::any_io_executor executor,
                                   const settings::resolved_config& config) {
    wire::check_connection_string(config.libpq_conninfo);
    auto made = std::make_shared<core>(std::move(executor), config);
    made->show_to_metrics();
    if (config.pool.min_conns > 0 || config.pool.min_idle_conns > 0) {
        const lock guard(made->mutex_);
        made->start_what_is_missing();
    }
    return made;
}

core::core(boost::asio::any_io_executor executor, const settings::resolved_config& config)
    : executor_(executor), config_(config), telemetry_(telemetry_of(config)),
      gate_(std::make_shared<pool::gate>(executor)), workers_(config.pool.max_conns + 1), backoff_(executor) {
}

core::~core() {
    observations_.clear(); // while all that they read is there
    gate_->close();
    *cancelled_ = true;
}

/// A reading takes the pool's lock for as long as stats() does.
void core::show_to_metrics() {
    if (!telemetry_) return;
    namespace instruments = telemetry::instruments;
    const auto show = [this](const instrument& what, std::initializer_list<attribute> labels,
                             std::size_t pool_stats::*value) {
        telemetry_->show(observations_, what, telemetry::hub::owner::pool, labels,
                         [this, value] { return static_cast<double>(stats().*value); });
    };
    const auto state = [](std::string_view name) { return attribute{"db.client.connection.state", name}; };
    show(instruments::connection_count, {state("idle")}, &pool_stats::idle_conns);
    show(instruments::connection_count, {state("used")}, &pool_stats::acquired_conns);
    show(instruments::connection_count, {state("connecting")}, &pool_stats::constructing_conns);
    show(instruments::connection_count, {state("ending")}, &pool_stats::ending_conns);
    show(instruments::connection_max, {}, &pool_stats::max_conns);
    // Without an engine's requests for more than it has.
    telemetry_->show(observations_, instruments::pending_requests, telemetry::hub::owner::pool, {},
                     [this] { return static_cast<double>(waiting()); });
}

census core::count() const noexcept {
    return {idle_.size() + acquired_ + checking_ + connecting_,
            connecting_,
            idle_.size(),
            checking_,
            queue_.size(),
            endings_.size()};
}

void core::acquire(std::shared_ptr<waiter> who) {
    who->since_ = clock::now();
    transfer found;
    found.who.push_back(std::move(who));
    {
        const lock guard(mutex_);
        if (!closed_) {
            auto& first = *found.who.front();
            if (!queue_.empty() || idle_.empty()) {
                first.queued_ = true;
                enters_queue(first);
                queue_.splice(queue_.end(), found.who);
                return fill();
            }
            found.what = std::move(idle_.back());
            idle_.pop_back();
            ++checking_;
        }
    }
    if (!found.what)
        return found.who.front()->failed(error(errc::closed, "acquire", "the pool has been closed"));
    hand_out(std::move(found), false);
}

bool core::withdraw(const waiter& who) {
    const lock guard(mutex_);
    const auto at =
        std::find_if(queue_.begin(), queue_.end(), [&](const auto& each) { return each.get() == &who; });
    if (at == queue_.end()) return false;
    leaves_queue(who);
    queue_.erase(at);
    ++totals_.canceled_acquire_count;
    return true;
}

lease core::try_acquire() {
    const auto now = clock::now();
    for (;;) {
        std::shared_ptr<entry> found;
        {
            const lock guard(mutex_);
            if (closed_ || config_.pool.before_acquire || !queue_.empty() || idle_.empty()) return {};
            if (now - idle_.back()->idle_since >= config_.pool.validate_after_idle) return {};
            found = std::move(idle_.back());
            idle_.pop_back();
            ++acquired_;
        }
        lease got(shared_from_this(), found);
        if (now >= found->expires || !found->connection->check_idle()) continue; // release() retires it
        const lock guard(mutex_);
        ++totals_.acquire_count;
        return got;
    }
}

void core::enters_queue(const waiter& who) noexcept {
    if (!who.optional) required_waiters_.fetch_add(1, std::memory_order_relaxed);
}

void core::leaves_queue(const waiter& who) noexcept {
    if (!who.optional) required_waiters_.fetch_sub(1, std::memory_order_relaxed);
}

/// Gives a usable connection to whoever waits longest, or keeps it.
/// \pre the mutex is held; the same for every member that takes `later`
void core::accept(std::shared_ptr<entry> what, deferred& later) noexcept {
    what->idle_since = clock::now();
    if (queue_.empty())
        idle_.push_back(std::move(what));
    else
        later.handed_out = to_first_waiter(std::move(what));
}

/// \pre somebody waits
core::transfer core::to_first_waiter(std::shared_ptr<entry> what) noexcept {
    transfer it{std::move(what), {}};
    leaves_queue(*queue_.front());
    it.who.splice(it.who.begin(), queue_, queue_.begin());
    ++checking_;
    return it;
}

void core::run(deferred& later) {
    for (const auto& each : later.refused)
        each->failed(*later.why);
    if (later.look_after_endings) look_after_endings();
    if (later.handed_out.what) hand_out(std::move(later.handed_out), true);
}

/// Fails those in the queue whom waiting does not help: all of them, or the ones that asked to fail fast.
void core::refuse(deferred& later, const error& why, bool all) {
    later.why = why;
    for (auto at = queue_.begin(); at != queue_.end();) {
        const auto each = at++;
        if (!all && !(*each)->fail_fast) continue;
        leaves_queue(**each);
        later.refused.splice(later.refused.end(), queue_, each);
    }
}

bool core::reusable(const entry& what, clock::time_point now) {
    if (what.connection->broken() || what.connection->demoted()) {
        ++totals_.broken_destroy_count;
        return false;
    }
    if (now >= what.expires) {
        ++totals_.max_lifetime_destroy_count;
        return false;
    }
    return what.generation == generation_ && !what.connection->bloated();
}

void core::release(std::shared_ptr<entry> what) noexcept {
    deferred later;
    {
        const lock guard(mutex_);
        --acquired_;
        if (!closed_ && reusable(*what, clock::now()))
            accept(std::move(what), later);
        else
            give_up(*what, later);
        fill();
        finish_close();
    }
    try {
        run(later);
    } catch (const std::exception&) {
        // No memory for the timer of endings: maintain() starts it.
    }
}

/// A connection that is in no list any more. It is closed when the caller lets go of it, outside the lock.
void core::give_up(entry& what, deferred& later) noexcept {
    if (auto left = what.connection->take_ending(); left && !closed_ && !left->over()) {
        endings_.push_back(std::move(*left));
        later.look_after_endings = !endings_watched_;
    }
}

/// What is over makes room for new connections.
void core::look_after_endings() {
    const lock guard(mutex_);
    endings_watched_ = false;
    std::erase_if(endings_, [](auto& each) { return each.over(); });
    fill();
    if (endings_.empty()) return;
    after(ending_interval, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->look_after_endings();
    });
    endings_watched_ = true;
}

void core::maintain() {
    std::vector<std::shared_ptr<entry>> gone;
    deferred later;
    {
        const lock guard(mutex_);
        const auto now = clock::now();
        gone.reserve(idle_.size());
        const auto wanted =
            std::max(config_.pool.min_idle_conns,
                     config_.pool.min_conns - std::min(config_.pool.min_conns, acquired_ + checking_));
        std::size_t spare = idle_.size() - std::min(wanted, idle_.size());
        std::erase_if(idle_, [&](auto& each) {
            const auto reason = retire(now, each->expires, each->idle_since, spare, config_.pool);
            const bool lost = !reason && !each->connection->check_idle();
            if (!reason && !lost) return false;
            spare -= std::min<std::size_t>(spare, 1);
            auto& counter = lost                              ? totals_.broken_destroy_count
                            : *reason == retirement::lifetime ? totals_.max_lifetime_destroy_count
                                                              : totals_.max_idle_destroy_count;
            ++counter;
            give_up(*each, later);
            gone.push_back(std::move(each));
            return true;
        });
        fill();
        finish_close();
        later.look_after_endings = !endings_.empty() && !endings_watched_;
        if (closed_) refuse(later, error(errc::closed, "acquire", "the pool has been closed"), true);
    }
    run(later);
    serve_queue();
}

/// Somebody waits beside an idle connection only where there was no memory to hand it out.
void core::serve_queue() {
    for (auto attempts = stats().idle_conns; attempts > 0; --attempts) {
        transfer it;
        {
            const lock guard(mutex_);
            if (queue_.empty() || idle_.empty()) return;
            auto what = std::move(idle_.back());
            idle_.pop_back();
            it = to_first_waiter(std::move(what));
        }
        hand_out(std::move(it), false);
    }
}

void core::after(clock::duration delay, std::function<void()> then) {
    workers_.after(delay, [gate = gate_, then = std::move(then)] { gate->post(then); });
}

pool_stats core::stats() const {
    const lock guard(mutex_);
    auto now = totals_;
    const auto have = count();
    now.max_conns = config_.pool.max_conns;
    now.total_conns = have.total;
    now.acquired_conns = acquired_ + checking_;
    now.constructing_conns = connecting_;
    now.idle_conns = have.idle;
    now.ending_conns = have.ending;
    now.waiters = have.waiters;
    return now;
}

void core::reset() {
    std::vector<std::shared_ptr<entry>> gone;
    deferred later;
    {
        const lock guard(mutex_);
        gone.reserve(idle_.capacity());
        ++generation_;
        idle_.swap(gone); // both have room for all
        for (const auto& each : gone)
            give_up(*each, later);
        fill();
    }
    run(later);
}

void core::close(std::function<void()> done) {
    std::vector<std::shared_ptr<entry>> gone;
    deferred later;
    {
        const lock guard(mutex_);
        gone.reserve(idle_.capacity());
        closed_ = true;
        *cancelled_ = true;
        backoff_.cancel();
        refuse(later, error(errc::closed, "acquire", "the pool has been closed"), true);
        gone.swap(idle_); // whose room is kept, see reset()
        endings_.clear();
        if (done) close_handlers_.push_back(std::move(done));
        finish_close();
    }
    run(later);
}

/// \pre the mutex is held
void core::finish_close() noexcept {
    if (!closed_ || acquired_ + checking_ + connecting_ > 0) return;
    try {
        for (; !close_handlers_.empty(); close_handlers_.pop_back())
            boost::asio::post(executor_, close_handlers_.back());
    } catch (const std::exception&) {
        // No memory: maintain() tries again.
    }
}

void core::shut_down() {
    close({});
    std::unordered_map<std::uint64_t, errand> given_up;
    {
        const lock guard(mutex_);
        given_up.swap(errands_);
    }
    const auto closed = std::make_exception_ptr(
        error(errc::closed, "acquire", "the pool was destroyed while a function held the connection"));
    for (auto& [id, each] : given_up) {
        each.what->connection->return_session(nullptr);
        each.after(std::move(each.what), closed);
    }
}

error core::unavailable(std::string_view operation) const {
    error failure(errc::unavailable, operation,
                  last_failure_ ? std::string("no connection can be made: ") + last_failure_->what()
                                : std::string("no connection could be made in time"));
    if (last_failure_) failure.with_sqlstate(last_failure_->sqlstate()).with_cause(last_failure_->cause());
    return failure;
}

error core::exhausted(std::string_view operation) const {
    const lock guard(mutex_);
    if (idle_.size() + acquired_ + checking_ == 0 ||
        (last_failure_ && acquired_ + checking_ < config_.pool.max_conns))
        return unavailable(operation);
    return error(errc::pool_exhausted, operation,
                 "all " + std::to_string(config_.pool.max_conns) + " connections stayed in use (" +
                     std::to_string(queue_.size()) +
                     " callers wait): raise pool_max_conns, or hold connections for less time");
}

} // namespace pgstate::pool
