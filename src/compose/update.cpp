#include "codec/validate.hpp"
#include "compose/composed.hpp"
#include "detail/callback_failure.hpp"
#include "detail/deadline.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate {
namespace compose {

std::chrono::microseconds conflict_pause(int retry, double random) noexcept {
    using std::chrono::microseconds;
    constexpr microseconds longest = std::chrono::milliseconds(500);
    const auto limit =
        std::min<microseconds>(std::chrono::milliseconds(2) * (1 << std::clamp(retry - 1, 0, 8)), longest);
    return microseconds(static_cast<long>(static_cast<double>(limit.count()) * random));
}

namespace {

constexpr std::string_view update_name = "update";

/// One call of `update`: a chain of steps on the handler's executor, each begun by the completion of the one before.
class update_call final : public std::enable_shared_from_this<update_call> {
public:
    using clock = std::chrono::steady_clock;

    update_call(detail::store_reference store, state_key key, detail::bound_change change,
                const update_options& options, completion<saved> handler)
        : store_(std::move(store)), key_(std::move(key)), change_(std::move(change)), options_(options),
          where_(boost::asio::get_associated_executor(handler,
                                                      boost::asio::any_completion_executor(store_.executor))),
          completion_(std::move(handler), store_.executor) {
        if (options_.timeout.count() > 0) deadline_ = detail::deadline_after(clock::now(), options_.timeout);
    }

    void start() {
        if (auto slot = completion_.slot(); slot.is_connected()) {
            // The slot may outlive the call, the store and their event loop: it owns nothing of theirs.
            cancellation_ = std::make_shared<cancellation>();
            slot.assign([weak = std::weak_ptr(cancellation_)](boost::asio::cancellation_type type) {
                const auto cancelling = weak.lock();
                if (!cancelling) return;
                cancelling->requested = true;
                cancelling->of_step.emit(type);
            });
        }
        load();
    }

private:
    struct cancellation {
        boost::asio::cancellation_signal of_step; ///< for what is under way
        bool requested = false;                   ///< also seen between two steps
    };

    /// `step(this, ...)` as the handler of what comes before it.
    template <class Step>
    auto then(Step step) {
        return boost::asio::bind_executor(
            where_, boost::asio::bind_cancellation_slot(
                        cancellation_ ? cancellation_->of_step.slot() : boost::asio::cancellation_slot(),
                        [self = shared_from_this(), step](auto&&... values) {
                            step(*self, std::forward<decltype(values)>(values)...);
                        }));
    }

    void load() {
        load_options options;
        options.parent = options_.parent;
        const auto store = next_step(options.timeout);
        if (!store) return;
        access::load(*store, key_, options,
                     then([](update_call& self, result<std::optional<agent_state>> outcome) {
                         self.loaded(std::move(outcome));
                     }));
    }

    void loaded(result<std::optional<agent_state>> outcome) {
        if (!outcome) return fail(outcome.error());
        if (cancelled()) return;
        auto state = *std::move(outcome);
        if (!state) {
            if (!options_.create)
                return fail(error(errc::not_found, update_name,
                                  "there is no such state; save it first, or set update_options::create"));
            state.emplace(key_.agent_id, key_.session_id);
        }
        const saved before{state->version, state->created_at, state->updated_at, state->expires_at};
        bool wanted = false;
        try {
            wanted = call(*state);
        } catch (...) {
            return finish(to_error(std::current_exception()));
        }
        if (!wanted) return finish(before);
        if (cancelled()) return;
        if (state->agent_id != key_.agent_id || state->session_id != key_.session_id)
            return fail(error(errc::invalid_argument, update_name,
                              "the function changed agent_id or session_id; nothing was saved"));
        state->version = before.version; // the one that the function's changes are based on
        save(*state);
    }

    bool call(agent_state& state) {
        try {
            return change_(state);
        } catch (...) {
            throw detail::callback_failure(update_name);
        }
    }

    void save(const agent_state& state) {
        save_options options;
        options.if_unchanged = true;
        options.ttl = options_.ttl;
        options.parent = options_.parent;
        const auto store = next_step(options.timeout);
        if (!store) return;
        access::save(
            *store, detail::encoded_state(state), options,
            then([](update_call& self, const result<saved>& outcome) { self.saved_or_not(outcome); }));
    }

    void saved_or_not(const result<saved>& outcome) {
        if (outcome) return finish(*outcome);
        const error why = outcome.error();
        if (why != errc::conflict || retries_ == options_.max_retries) return fail(why);
        if (cancelled()) return;
        ++retries_;
        pause();
    }

    void pause() {
        if (!timer_) {
            timer_.emplace(store_.executor);
            random_.seed(std::random_device{}());
        }
        auto length = conflict_pause(retries_, std::uniform_real_distribution<>(0, 1)(random_));
        if (deadline_)
            length = std::clamp(std::chrono::ceil<std::chrono::microseconds>(*deadline_ - clock::now()),
                                std::chrono::microseconds(0), length);
        timer_->expires_after(length);
        auto wait = [self = shared_from_this()](const boost::system::error_code&) mutable {
            auto where = self->where_;
            boost::asio::dispatch(where, [self = std::move(self)] {
                // What the timer left in the slot must not outlive the timer.
                if (self->cancellation_) self->cancellation_->of_step.slot().clear();
                if (!self->cancelled()) self->load();
            });
        };
        timer_->async_wait(boost::asio::bind_cancellation_slot(
            cancellation_ ? cancellation_->of_step.slot() : boost::asio::cancellation_slot(),
            std::move(wait)));
    }

    /// The store for another operation, and the time that it may take; null: the call is over, as there is none of
    /// the one or of the other.
    std::unique_ptr<state_store> next_step(std::chrono::milliseconds& timeout) {
        if (deadline_) {
            timeout = std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - clock::now());
            if (timeout.count() <= 0) {
                fail(error(errc::timed_out, update_name,
                           "took longer than its time-out; the state was not saved (conflicts so far: " +
                               std::to_string(retries_) + ")"));
                return nullptr;
            }
        }
        auto store = store_.handle();
        if (!store) fail(error(errc::closed, update_name));
        return store;
    }

    bool cancelled() {
        if (!cancellation_ || !cancellation_->requested) return false;
        fail(error(boost::asio::error::operation_aborted, update_name));
        return true;
    }

    void fail(const error& why) {
        finish(why.operation() == update_name ? why : as_failure_of(update_name, why));
    }

    /// Posted, as a step may have been begun by the call itself.
    void finish(result<saved> outcome) {
        change_ = nullptr; // what it captured must not outlive the operation
        cancellation_.reset();
        completion_.post(store_.executor, std::move(outcome));
    }

    const detail::store_reference store_;
    const state_key key_;
    detail::bound_change change_;
    const update_options options_;
    const boost::asio::any_completion_executor where_;
    detail::pending_completion<saved> completion_;
    std::optional<clock::time_point> deadline_;
    std::shared_ptr<cancellation> cancellation_; ///< null: it cannot be cancelled, or is over
    int retries_ = 0;
    std::optional<boost::asio::steady_timer> timer_;
    std::minstd_rand random_;
};

} // namespace
} // namespace compose

void state_store::start_update(state_key key, detail::bound_change change, update_options options,
                               completion<saved> handler) {
    auto store = compose::access::refer(*this);
    try {
        codec::validate_key(key.agent_id, key.session_id, compose::update_name);
        codec::validate_update(options);
    } catch (const error& e) {
        return compose::complete_at_once<saved>(store.executor, std::move(handler), e);
    }
    std::make_shared<compose::update_call>(std::move(store), std::move(key), std::move(change), options,
                                           std::move(handler))
        ->start();
}

} // namespace pgstate
