// How the pool gets its connections.

#include "detail/deadline.hpp"
#include "pool/core.hpp"
#include "wire/connect_message.hpp"

#include <exception>
#include <string>
#include <utility>

namespace pgstate::pool {

/// \pre the mutex is held
void core::fill() noexcept {
    try {
        start_what_is_missing();
    } catch (const std::exception&) {
        // No memory, or no thread. The next look after the minimums, or whoever needs a connection next, tries again.
    }
}

/// \pre the mutex is held
void core::start_what_is_missing() {
    if (closed_) return;
    if (!ticking_) {
        workers_.every(config_.pool.health_check_period, [gate = gate_, weak = weak_from_this()] {
            gate->post([weak] {
                if (const auto self = weak.lock()) self->maintain();
            });
        });
        ticking_ = true;
    }
    const bool backing_off = clock::now() < resume_connecting_;
    if (backing_off) go_on_after_pause();
    for (auto missing = connections_to_start(count(), config_.pool, backing_off); missing > 0; --missing)
        start_connect();
}

void core::start_connect() {
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
    ++connecting_;
}

void core::connected(std::shared_ptr<wire::session> made, const std::optional<error>& failure) {
    deferred later;
    {
        const lock guard(mutex_);
        --connecting_;
        if (closed_) return finish_close();
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
                const auto have = count();
                idle_.reserve(have.total + 1);
                endings_.reserve(have.total + 1 + have.ending);
                accept(std::move(what), later);
            } catch (const error& e) {
                last_failure_ = e;
                pause_after_failure();
            }
        }
        fill();
    }
    run(later);
}

void core::pause_after_failure() {
    const auto pause = backoff(failures_, std::uniform_real_distribution<>(0, 1)(random_));
    resume_connecting_ = clock::now() + pause;
}

/// Without a waiter nobody is in a hurry: the next acquire, which comes here too, or the next look after the minimums
/// tries again.
void core::go_on_after_pause() {
    if (queue_.empty() || backoff_running_) return;
    backoff_.expires_at(resume_connecting_);
    backoff_.async_wait([weak = weak_from_this()](auto) {
        const auto self = weak.lock();
        if (!self) return;
        const lock guard(self->mutex_);
        self->backoff_running_ = false;
        self->fill();
    });
    backoff_running_ = true;
}

} // namespace pgstate::pool
