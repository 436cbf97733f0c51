#include "pool/core.hpp"

#include "detail/deadline.hpp"
#include "telemetry/instruments.hpp"
#include "wire/connect_message.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
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

void core::run_all(deferred& later) {
    for (auto& each : later)
        each();
    later.clear();
}

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
        deferred later;
        {
            const lock guard(made->mutex_);
            made->fill(later);
        }
        run_all(later);
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
    std::shared_ptr<entry> found;
    {
        const lock guard(mutex_);
        if (!closed_) {
            if (queue_.empty() && !idle_.empty()) {
                found = std::move(idle_.back());
                idle_.pop_back();
                ++checking_;
            } else {
                who->queued_ = true;
                enters_queue(*who);
                queue_.push_back(std::move(who));
                deferred later;
                fill(later);
                return;
            }
        }
    }
    if (!found) return who->failed(error(errc::closed, "acquire", "the pool has been closed"));
    hand_out(std::move(found), std::move(who), false);
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

/// \pre the mutex is held; the same for every member that takes `later`
void core::fill(deferred&) {
    if (closed_) return;
    const bool backing_off = clock::now() < resume_connecting_;
    if (backing_off) go_on_after_pause();
    for (auto missing = connections_to_start(count(), config_.pool, backing_off); missing > 0; --missing)
        start_connect();
    if (!ticking_) {
        ticking_ = true;
        workers_.every(config_.pool.health_check_period, [gate = gate_, weak = weak_from_this()] {
            gate->post([weak] {
                if (const auto self = weak.lock()) self->maintain();
            });
        });
    }
}

void core::start_connect() {
    ++connecting_;
    wire::connect_options options{config_.libpq_conninfo, config_.pool.connect_timeout,
                                  config_.operation_timeout};
    workers_.post([options = std::move(options), hook = config_.pool.after_connect, cancelled = cancelled_,
                   gate = gate_, hub = telemetry_, weak = weak_from_this()] {
        std::shared_ptr<wire::session> made;
        std::optional<error> failure;
        const auto began = clock::now();
        try {
            made = wire::session::connect(options, [&] { return cancelled->load(); });
            if (hook) {
                hook(made->enter_blocking());
                if (!made->clean_up())
                    throw error(errc::unavailable, "connect", "after_connect left it unusable");
            }
        } catch (const error& e) {
            failure = e;
        } catch (const std::exception& e) {
            failure = error(errc::unavailable, "connect", std::string("after_connect failed: ") + e.what());
            failure->with_cause(std::current_exception());
        } catch (...) {
            failure = error(errc::unavailable, "connect", "after_connect failed");
            failure->with_cause(std::current_exception());
        }
        if (failure) made.reset();
        if (hub) hub->connect_ended(began, clock::now(), failure ? &*failure : nullptr);
        gate->post([weak, made = std::move(made), failure = std::move(failure)]() mutable {
            if (const auto self = weak.lock()) self->connected(std::move(made), failure);
        });
    });
}

void core::connected(std::shared_ptr<wire::session> made, const std::optional<error>& failure) {
    deferred later;
    {
        const lock guard(mutex_);
        if (closed_) return;
        --connecting_;
        if (failure) {
            ++totals_.failed_connects_count;
            ++failures_;
            last_failure_ = failure;
            const bool permanent =
                wire::is_permanent_connect_failure(failure->sqlstate()) || *failure == errc::invalid_argument;
            refuse(later, unavailable("connect"), permanent);
            pause_after_failure();
        } else {
            failures_ = 0;
            resume_connecting_ = {};
            last_failure_.reset();
            ++totals_.new_conns_count;
            try {
                auto lifetime = config_.pool.max_conn_lifetime;
                if (const auto jitter = config_.pool.max_conn_lifetime_jitter.count(); jitter > 0)
                    lifetime +=
                        std::chrono::milliseconds(std::uniform_int_distribution<long>(0, jitter)(random_));
                auto what = std::make_shared<entry>();
                what->connection = std::make_shared<wire::connection>(executor_, std::move(made));
                what->expires = detail::deadline_after(clock::now(), lifetime);
                what->generation = generation_;
                accept(std::move(what), later);
            } catch (const error& e) {
                last_failure_ = e;
                pause_after_failure();
            }
        }
        fill(later);
    }
    run_all(later);
}

/// Gives a usable connection to whoever waits longest, or keeps it.
void core::accept(std::shared_ptr<entry> what, deferred& later) {
    what->idle_since = clock::now();
    if (queue_.empty()) {
        idle_.push_back(std::move(what));
        return;
    }
    auto who = std::move(queue_.front());
    queue_.pop_front();
    leaves_queue(*who);
    ++checking_;
    later.push_back([this, what = std::move(what), who = std::move(who)] { hand_out(what, who, true); });
}

void core::pause_after_failure() {
    const auto pause = backoff(failures_, std::uniform_real_distribution<>(0, 1)(random_));
    resume_connecting_ = clock::now() + pause;
}

/// Without a waiter nobody is in a hurry: the next acquire, which comes here too, or the next look after the minimums
/// tries again.
void core::go_on_after_pause() {
    if (queue_.empty() || backoff_running_) return;
    backoff_running_ = true;
    backoff_.expires_at(resume_connecting_);
    backoff_.async_wait([weak = weak_from_this()](auto) {
        const auto self = weak.lock();
        if (!self) return;
        deferred later;
        {
            const lock guard(self->mutex_);
            self->backoff_running_ = false;
            self->fill(later);
        }
        run_all(later);
    });
}

/// Fails those in the queue whom waiting does not help: all of them, or the ones that asked to fail fast.
void core::refuse(deferred& later, const error& why, bool all) {
    std::deque<std::shared_ptr<waiter>> keep;
    for (auto& each : queue_) {
        if (all || each->fail_fast) {
            leaves_queue(*each);
            later.push_back([who = std::move(each), why] { who->failed(why); });
        } else {
            keep.push_back(std::move(each));
        }
    }
    queue_ = std::move(keep);
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
            drop(std::move(what), later);
        fill(later);
        finish_close(later);
    }
    run_all(later);
}

/// Closes a connection that is in no list any more, outside the lock.
void core::drop(std::shared_ptr<entry> what, deferred& later) {
    if (auto left = what->connection->take_ending(); left && !closed_ && !left->over()) {
        endings_.push_back(std::move(*left));
        if (endings_.size() == 1) later.push_back([this] { look_after_endings(); });
    }
    later.push_back([what = std::move(what)]() mutable { what.reset(); });
}

/// What is over makes room for new connections.
void core::look_after_endings() {
    deferred later;
    {
        const lock guard(mutex_);
        std::erase_if(endings_, [](auto& each) { return each.over(); });
        fill(later);
        if (!endings_.empty())
            later.push_back([this] {
                after(ending_interval, [weak = weak_from_this()] {
                    if (const auto self = weak.lock()) self->look_after_endings();
                });
            });
    }
    run_all(later);
}

void core::maintain() {
    deferred later;
    {
        const lock guard(mutex_);
        const auto now = clock::now();
        const auto wanted =
            std::max(config_.pool.min_idle_conns,
                     config_.pool.min_conns - std::min(config_.pool.min_conns, acquired_ + checking_));
        std::size_t spare = idle_.size() - std::min(wanted, idle_.size());
        std::deque<std::shared_ptr<entry>> keep;
        for (auto& each : idle_) {
            const auto reason = retire(now, each->expires, each->idle_since, spare, config_.pool);
            const bool lost = !reason && !each->connection->check_idle();
            if (!reason && !lost) {
                keep.push_back(std::move(each));
                continue;
            }
            spare -= std::min<std::size_t>(spare, 1);
            auto& counter = lost                              ? totals_.broken_destroy_count
                            : *reason == retirement::lifetime ? totals_.max_lifetime_destroy_count
                                                              : totals_.max_idle_destroy_count;
            ++counter;
            drop(std::move(each), later);
        }
        idle_ = std::move(keep);
        fill(later);
    }
    run_all(later);
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
    deferred later;
    {
        const lock guard(mutex_);
        ++generation_;
        for (auto& each : idle_)
            drop(std::move(each), later);
        idle_.clear();
        fill(later);
    }
    run_all(later);
}

void core::close(std::function<void()> done) {
    deferred later;
    {
        const lock guard(mutex_);
        closed_ = true;
        *cancelled_ = true;
        connecting_ = 0; // nobody waits for what they bring
        backoff_.cancel();
        refuse(later, error(errc::closed, "acquire", "the pool has been closed"), true);
        for (auto& each : idle_)
            drop(std::move(each), later);
        idle_.clear();
        endings_.clear();
        if (done) close_handlers_.push_back(std::move(done));
        finish_close(later);
    }
    run_all(later);
}

void core::finish_close(deferred& later) {
    if (!closed_ || acquired_ + checking_ > 0) return;
    for (auto& each : close_handlers_)
        later.push_back([this, each] { boost::asio::post(executor_, each); });
    close_handlers_.clear();
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
