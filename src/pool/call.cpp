#include "pool/call.hpp"

#include "detail/pending_completion.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>

#include <mutex>
#include <optional>
#include <utility>

namespace pgstate::pool {
namespace {

/// Another connection may lead to a server that does write.
bool refused_to_write(const std::exception_ptr& failure) {
    return failure && to_error(failure) == sqlstate::read_only_sql_transaction;
}

class call final : public waiter, public std::enable_shared_from_this<call> {
public:
    using function_type = std::function<void(pqxx::connection&, const call_context&)>;
    using handler_type = boost::asio::any_completion_handler<void(std::exception_ptr)>;

    call(std::shared_ptr<core> pool, function_type function, call_options options, handler_type handler)
        : pool_(std::move(pool)), function_(std::move(function)), options_(std::move(options)),
          completion_(std::in_place, std::move(handler), pool_->executor()), deadline_(pool_->executor()) {
        fail_fast = options_.fail_fast;
        if (const auto& hub = pool_->telemetry())
            watch_.begin(hub, options_.operation, telemetry::clock::now(), options_.parent);
    }

    void start() {
        if (auto slot = completion_->slot(); slot.is_connected())
            slot.assign([weak = weak_from_this()](boost::asio::cancellation_type) {
                if (const auto self = weak.lock()) self->cancel();
            });
        if (options_.timeout.count() > 0) {
            const std::lock_guard guard(mutex_);
            deadline_.expires_after(options_.timeout);
            deadline_.async_wait([weak = weak_from_this()](auto stopped) {
                if (const auto self = weak.lock(); self && !stopped) self->time_out();
            });
        }
        pool_->acquire(shared_from_this());
    }

    void acquired(lease got) override {
        call_context context{abandoned_, {}};
        std::shared_ptr<span> traced;
        {
            const std::lock_guard guard(mutex_);
            if (!completion_) return;
            running_ = true;
            if (watch_) watch_.acquired(telemetry::clock::now());
            context.span = watch_.context();
            traced = watch_.traced();
            if (!options_.bounds_function) deadline_.cancel();
        }
        // Nothing of the pool's: the worker may outlive it, and the event loop.
        auto work = [function = std::move(function_), context = std::move(context),
                     traced = std::move(traced), hub = pool_->telemetry()](pqxx::connection& connection) {
            std::unique_ptr<tracer::scope> active; // the function runs in the operation's span
            if (traced) active = hub->activate(*traced);
            function(connection, context);
        };
        pool_->lend(std::move(got), std::move(work),
                    [self = shared_from_this()](lease back, std::exception_ptr failure) {
                        if (refused_to_write(failure)) back->abandon("the server takes no writes");
                        {
                            const auto returned = std::move(back);
                        } // before the caller goes on, so that it can have it
                        self->finish(std::move(failure));
                    });
    }

    void failed(const error& why) override { finish(std::make_exception_ptr(renamed(why))); }

private:
    error renamed(const error& why) const {
        if (why == errc::closed) return error(errc::closed, name(), "the pool has been closed");
        error copy(why.code(), name(), why.what());
        copy.with_sqlstate(why.sqlstate()).with_cause(why.cause());
        return copy;
    }

    std::string_view name() const noexcept { return telemetry::name_of(options_.operation); }

    void cancel() {
        pool_->withdraw(*this);
        finish(std::make_exception_ptr(error(boost::asio::error::operation_aborted, name())));
    }

    void time_out() {
        const bool queued = pool_->withdraw(*this);
        bool running = false;
        {
            const std::lock_guard guard(mutex_);
            running = running_;
        }
        if (running && !options_.bounds_function) return;
        finish(std::make_exception_ptr(
            queued ? pool_->exhausted(name())
                   : error(errc::timed_out, name(),
                           running ? "took longer than its time-out; what it has not committed is rolled back"
                                   : "no connection became ready within the time-out")));
    }

    void finish(std::exception_ptr failure) {
        std::optional<detail::pending_completion<void(std::exception_ptr)>> completion;
        telemetry::operation_watch watch;
        {
            const std::lock_guard guard(mutex_);
            completion.swap(completion_);
            if (completion) watch = std::move(watch_);
            if (completion) deadline_.cancel();
            options_.held.reset();
        }
        if (!completion) return;
        *abandoned_ = true;
        completion->post(pool_->executor(), [failure = std::move(failure),
                                             watch = std::move(watch)](handler_type handler) mutable {
            std::optional<error> why;
            if (failure) why = to_error(failure);
            watch.end(why ? &*why : nullptr);
            std::move(handler)(std::move(failure));
        });
    }

    const std::shared_ptr<core> pool_;
    function_type function_;
    call_options options_; // of which `held` belongs to those below
    const std::shared_ptr<std::atomic<bool>> abandoned_ = std::make_shared<std::atomic<bool>>(false);

    std::mutex mutex_;                                                               // the members below
    std::optional<detail::pending_completion<void(std::exception_ptr)>> completion_; // empty: finished
    boost::asio::steady_timer deadline_;
    bool running_ = false;
    telemetry::operation_watch watch_;
};

} // namespace

void call_with_connection(const std::shared_ptr<core>& pool,
                          std::function<void(pqxx::connection&, const call_context&)> function,
                          call_options options,
                          boost::asio::any_completion_handler<void(std::exception_ptr)> handler) {
    std::make_shared<call>(pool, std::move(function), std::move(options), std::move(handler))->start();
}

} // namespace pgstate::pool
