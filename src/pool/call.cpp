#include "pool/call.hpp"

#include "detail/cancellation.hpp"
#include "detail/deadline.hpp"
#include "detail/pending_completion.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>

#include <mutex>
#include <optional>
#include <utility>

namespace pgstate::pool {
namespace {

class call final : public waiter, public std::enable_shared_from_this<call> {
public:
    using function_type = std::function<void(pqxx::connection&, const call_context&)>;

    call(std::shared_ptr<core> pool, function_type function, call_terms terms, completion<void> handler)
        : pool_(std::move(pool)), function_(std::move(function)), terms_(std::move(terms)),
          completion_(std::in_place, std::move(handler), pool_->executor()), deadline_(pool_->executor()) {
        fail_fast = terms_.fail_fast;
        if (const auto& hub = pool_->telemetry())
            watch_.begin(hub, terms_.operation, telemetry::clock::now(), terms_.parent);
    }

    void start() {
        place_ = open_calls::enter(pool_->calls());
        if (!place_) return failed(error(errc::closed, name()));
        if (auto slot = completion_->slot(); slot.is_connected())
            slot.assign([weak = weak_from_this()](boost::asio::cancellation_type how) {
                if (const auto self = weak.lock()) self->cancel(how);
            });
        if (terms_.timeout.count() > 0) {
            const std::lock_guard guard(mutex_);
            deadline_.expires_at(detail::deadline_after(clock::now(), terms_.timeout));
            deadline_.async_wait([weak = weak_from_this()](auto stopped) {
                if (const auto self = weak.lock(); self && !stopped) self->time_out();
            });
        }
        pool_->acquire(shared_from_this());
    }

    void acquired(lease& got) override {
        call_context context{abandoned_, {}};
        auto held = context.held;
        std::shared_ptr<span> traced;
        {
            const std::lock_guard guard(mutex_);
            if (!completion_) return;
            running_ = true;
            if (watch_) watch_.acquired(telemetry::clock::now());
            context.span = watch_.context();
            traced = watch_.traced();
            if (!terms_.bounds_function) deadline_.cancel();
        }
        // Nothing of the pool's: the worker may outlive it, and the event loop.
        auto work = [function = std::move(function_), context = std::move(context),
                     traced = std::move(traced), hub = pool_->telemetry()](pqxx::connection& connection) {
            std::unique_ptr<tracer::scope> active; // the function runs in the operation's span
            if (traced) active = hub->activate(*traced);
            function(connection, context);
        };
        try {
            pool_->lend(
                std::move(got), std::move(work),
                [self = shared_from_this(), held = std::move(held)](lease back, std::exception_ptr thrown) {
                    back->held(*held);
                    std::optional<error> failure;
                    if (thrown) failure = to_error(std::move(thrown));
                    // Another connection may lead to a server that does write.
                    if (failure && *failure == sqlstate::read_only_sql_transaction)
                        back->abandon("the server takes no writes");
                    {
                        const auto returned = std::move(back);
                    } // before the caller goes on, so that it can have it
                    self->finish(std::move(failure));
                });
        } catch (...) {
            finish(to_error(std::current_exception()));
        }
    }

    void failed(const error& why) override { finish(renamed(why)); }

private:
    error renamed(const error& why) const {
        if (why == errc::closed) return error(errc::closed, name(), "the pool has been closed");
        error copy(why.code(), name(), why.what());
        copy.with_sqlstate(why.sqlstate()).with_cause(why.cause());
        return copy;
    }

    std::string_view name() const noexcept { return telemetry::name_of(terms_.operation); }

    void cancel(boost::asio::cancellation_type how) {
        pool_->withdraw(*this);
        {
            const std::lock_guard guard(mutex_);
            if (running_ && !detail::allows_effects(how)) return;
        }
        finish(error(boost::asio::error::operation_aborted, name()));
    }

    void time_out() {
        const bool queued = pool_->withdraw(*this);
        bool running = false;
        {
            const std::lock_guard guard(mutex_);
            running = running_;
        }
        if (running && !terms_.bounds_function) return;
        finish(queued
                   ? pool_->exhausted(name())
                   : error(errc::timed_out, name(),
                           running ? "took longer than its time-out; what it has not committed is rolled back"
                                   : "no connection became ready within the time-out"));
    }

    void finish(std::optional<error> failure) {
        std::optional<detail::pending_completion<void>> mine;
        telemetry::operation_watch watch;
        open_calls::place place; // given up after the mutex, as closing may follow
        {
            const std::lock_guard guard(mutex_);
            mine.swap(completion_);
            place.swap(place_);
            if (mine) watch = std::move(watch_);
            if (mine) deadline_.cancel();
            terms_.held.reset();
        }
        if (!mine) return;
        *abandoned_ = true;
        mine->post(pool_->executor(), [failure = std::move(failure),
                                       watch = std::move(watch)](completion<void> handler) mutable {
            watch.end(failure ? &*failure : nullptr);
            std::move(handler)(failure ? result<void>(*std::move(failure)) : result<void>());
        });
    }

    const std::shared_ptr<core> pool_;
    function_type function_;
    call_terms terms_; // of which `held` belongs to those below
    const std::shared_ptr<std::atomic<bool>> abandoned_ = std::make_shared<std::atomic<bool>>(false);

    std::mutex mutex_;                                           // the members below
    std::optional<detail::pending_completion<void>> completion_; // empty: finished
    open_calls::place place_;
    boost::asio::steady_timer deadline_;
    bool running_ = false;
    telemetry::operation_watch watch_;
};

} // namespace

void call_with_connection(const std::shared_ptr<core>& pool,
                          std::function<void(pqxx::connection&, const call_context&)> function,
                          call_terms terms, completion<void> handler) {
    std::make_shared<call>(pool, std::move(function), std::move(terms), std::move(handler))->start();
}

} // namespace pgstate::pool
