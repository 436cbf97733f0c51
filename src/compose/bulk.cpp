#include "codec/validate.hpp"
#include "compose/composed.hpp"
#include "detail/cancellation.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace pgstate {
namespace compose {
namespace {

std::string position(std::string_view argument, std::size_t index) {
    return std::string(argument).append("[").append(std::to_string(index)).append("]");
}

struct bulk_load {
    using answer = std::optional<agent_state>; ///< to one operation
    using part = answer;                       ///< what is kept of it
    using value = detail::load_results;        ///< what the call gives
    static constexpr bool writes = false;
    static constexpr std::string_view name = "load_all";
    static constexpr std::string_view argument = "keys";
    static value whole(std::vector<part>&& parts) { return std::move(parts); }
};

struct bulk_erase {
    using answer = bool;
    using part = char; // not bool: each is written by itself
    using value = std::int64_t;
    static constexpr bool writes = true;
    static constexpr std::string_view name = "erase_all";
    static constexpr std::string_view argument = "keys";
    static value whole(std::vector<part>&& parts) { return std::count(parts.begin(), parts.end(), char{1}); }
};

struct bulk_save {
    using answer = saved;
    using part = result<saved>;
    using value = detail::save_results;
    static constexpr bool writes = true;
    static constexpr std::string_view name = "save_all";
    static constexpr std::string_view argument = "states";
    static value whole(std::vector<part>&& parts) { return std::move(parts); }
};

/// A call that is many operations at once, and completes when all of them have. They complete on the handler's executor,
/// which may run several of them at a time: each writes a part of its own, and the last one reads them all.
template <class Bulk>
class bulk_call final : public std::enable_shared_from_this<bulk_call<Bulk>> {
public:
    using handler_type = completion<typename Bulk::value>;

    bulk_call(const boost::asio::any_io_executor& io, std::size_t count, handler_type handler)
        : io_(io),
          where_(boost::asio::get_associated_executor(handler, boost::asio::any_completion_executor(io))),
          completion_(std::move(handler), io), parts_(count), open_(count + 1) {}

    /// Calls `begin(index, handler)` for each operation.
    template <class Begin>
    void start(Begin begin) {
        const std::size_t count = parts_.size();
        if (auto slot = completion_.slot(); slot.is_connected()) {
            // The slot may outlive the call, the store and their event loop: it owns nothing of theirs.
            signals_ = std::make_shared<std::vector<boost::asio::cancellation_signal>>(count);
            // Of several writes some may be done.
            slot.assign([weak = std::weak_ptr(signals_)](boost::asio::cancellation_type type) {
                const auto signals = weak.lock();
                if (!signals || (Bulk::writes && !detail::allows_effects(type))) return;
                for (auto& each : *signals)
                    each.emit(type);
            });
        }
        for (std::size_t i = 0; i < count; ++i) {
            begin(i, boost::asio::bind_executor(
                         where_,
                         boost::asio::bind_cancellation_slot(
                             signals_ ? (*signals_)[i].slot() : boost::asio::cancellation_slot(),
                             [self = this->shared_from_this(), i](result<typename Bulk::answer> outcome) {
                                 self->store_part(i, std::move(outcome));
                                 self->one_less();
                             })));
        }
        one_less();
    }

private:
    struct blame {
        bool aborted = false;
        std::size_t index = 0;
        error why;
    };

    void store_part(std::size_t index, result<typename Bulk::answer> outcome) {
        if (outcome) {
            parts_[index] = *std::move(outcome);
            return;
        }
        const error why = outcome.error();
        const bool aborted = why == boost::asio::error::operation_aborted;
        if constexpr (own_outcomes) {
            parts_[index] = why;
            if (!aborted) return;
        }
        const std::lock_guard guard(mutex_);
        // That the call was cancelled says more than what else went wrong.
        const bool says_more =
            !blame_ || (aborted && !blame_->aborted) || (aborted == blame_->aborted && index < blame_->index);
        if (says_more) blame_ = blame{aborted, index, why};
    }

    /// An operation has completed, or all have been started.
    void one_less() {
        if (open_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        // Posted, as all may have completed before the call that started them returns.
        completion_.post(io_, outcome());
    }

    result<typename Bulk::value> outcome() {
        const std::lock_guard guard(mutex_);
        if (!blame_) return Bulk::whole(std::move(parts_));
        if (blame_->aborted) return error(boost::asio::error::operation_aborted, Bulk::name);
        return as_failure_of(Bulk::name, blame_->why, position(Bulk::argument, blame_->index));
    }

    static constexpr bool own_outcomes = std::is_same_v<Bulk, bulk_save>;

    const boost::asio::any_io_executor io_;
    const boost::asio::any_completion_executor where_;
    detail::pending_completion<typename Bulk::value> completion_;
    std::shared_ptr<std::vector<boost::asio::cancellation_signal>> signals_; ///< null: it cannot be cancelled
    std::vector<typename Bulk::part> parts_;
    std::atomic<std::size_t> open_; ///< operations, and the start of them all
    std::mutex mutex_;
    std::optional<blame> blame_;
};

/// The operations of load_all and erase_all: `begin(store, key, handler)` for each key.
template <class Bulk, class Begin>
void start_with_keys(state_store& in, std::vector<state_key> keys, std::chrono::milliseconds timeout,
                     const history_window& window, completion<typename Bulk::value> handler, Begin begin) {
    const auto io = access::refer(in).executor;
    std::size_t index = 0;
    try {
        codec::validate_timeout(timeout, Bulk::name);
        codec::validate_window(window, Bulk::name);
        for (; index < keys.size(); ++index)
            codec::validate_key(keys[index].agent_id, keys[index].session_id,
                                position(Bulk::argument, index));
    } catch (const error& e) {
        const bool of_a_key = e.operation() != Bulk::name;
        return complete_at_once<typename Bulk::value>(io, std::move(handler),
                                                      of_a_key ? as_failure_of(Bulk::name, e) : e);
    }
    const auto call = std::make_shared<bulk_call<Bulk>>(io, keys.size(), std::move(handler));
    call->start([&](std::size_t i, auto to) { begin(in, std::move(keys[i]), std::move(to)); });
}

/// What the function of a transaction is given, which may be called again, and leaves behind.
struct atomic_save {
    std::vector<detail::encoded_state> states;
    std::vector<std::size_t> order;
    save_options options;
    std::vector<saved> done;

    void operator()(transaction& tx) {
        for (const auto i : order) {
            try {
                done[i] = access::save(tx, states[i], options);
            } catch (const error& e) {
                throw as_failure_of(bulk_save::name, e, position(bulk_save::argument, i));
            }
        }
    }
};

void save_all_atomically(state_store& in, std::vector<detail::encoded_state> states,
                         const save_all_options& options, const boost::asio::any_io_executor& io,
                         completion<detail::save_results> handler) {
    auto work = std::make_shared<atomic_save>();
    try {
        work->order = order_by_key(states);
    } catch (const error& e) {
        return complete_at_once<detail::save_results>(io, std::move(handler), e);
    }
    work->options.if_unchanged = options.if_unchanged;
    work->options.ttl = options.ttl;
    work->done.resize(states.size());
    work->states = std::move(states);
    transaction_options around;
    around.timeout = options.timeout;
    around.parent = options.parent;
    const boost::asio::any_completion_executor where =
        boost::asio::get_associated_executor(handler, boost::asio::any_completion_executor(io));
    const auto slot = boost::asio::get_associated_cancellation_slot(handler);
    auto finish = [work, handler = std::move(handler)](const result<void>& outcome) mutable {
        detail::save_results results;
        if (outcome) results.assign(work->done.begin(), work->done.end());
        work.reset();
        if (outcome) return std::move(handler)(std::move(results));
        const error why = outcome.error();
        std::move(handler)(why.operation() == bulk_save::name ? why : as_failure_of(bulk_save::name, why));
    };
    access::transaction(
        in, [work](transaction& tx) { (*work)(tx); }, around,
        boost::asio::bind_executor(where, boost::asio::bind_cancellation_slot(slot, std::move(finish))));
}

} // namespace

std::vector<std::size_t> order_by_key(const std::vector<detail::encoded_state>& states) {
    for (std::size_t i = 0; i < states.size(); ++i) {
        if (!states[i].failure) continue;
        throw as_failure_of(bulk_save::name, *states[i].failure, position(bulk_save::argument, i));
    }
    std::vector<std::size_t> order(states.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto key = [&](std::size_t i) { return std::tie(states[i].agent_id, states[i].session_id); };
    std::sort(order.begin(), order.end(),
              [&](auto a, auto b) { return std::pair(key(a), a) < std::pair(key(b), b); });
    const auto twice =
        std::adjacent_find(order.begin(), order.end(), [&](auto a, auto b) { return key(a) == key(b); });
    if (twice != order.end())
        throw error(errc::invalid_argument, bulk_save::name,
                    position(bulk_save::argument, *twice) + " and " +
                        position(bulk_save::argument, twice[1]) +
                        " have the same key, of which one transaction can save only one");
    return order;
}

} // namespace compose

void state_store::start_load_all(std::vector<state_key> keys, load_options options,
                                 completion<detail::load_results> handler) {
    if (options.at)
        return compose::complete_at_once<detail::load_results>(
            compose::access::refer(*this).executor, std::move(handler),
            error(errc::invalid_argument, compose::bulk_load::name,
                  "at is the version of one state; call load for it"));
    compose::start_with_keys<compose::bulk_load>(
        *this, std::move(keys), options.timeout, options.history, std::move(handler),
        [&](state_store& in, state_key key, auto to) {
            compose::access::load(in, std::move(key), options, std::move(to));
        });
}

void state_store::start_erase_all(std::vector<state_key> keys, erase_options options,
                                  completion<std::int64_t> handler) {
    if (options.if_version)
        return compose::complete_at_once<std::int64_t>(
            compose::access::refer(*this).executor, std::move(handler),
            error(errc::invalid_argument, compose::bulk_erase::name,
                  "if_version is the version of one state; call erase for it"));
    compose::start_with_keys<compose::bulk_erase>(
        *this, std::move(keys), options.timeout, history_window::all, std::move(handler),
        [&](state_store& in, state_key key, auto to) {
            compose::access::erase(in, std::move(key), options, std::move(to));
        });
}

void state_store::start_save_all(std::vector<detail::encoded_state> states, save_all_options options,
                                 completion<detail::save_results> handler) {
    const auto io = compose::access::refer(*this).executor;
    try {
        codec::validate_timeout(options.timeout, compose::bulk_save::name);
        codec::validate_ttl(options.ttl, compose::bulk_save::name);
    } catch (const error& e) {
        return compose::complete_at_once<detail::save_results>(io, std::move(handler), e);
    }
    if (states.empty()) return compose::complete_at_once<detail::save_results>(io, std::move(handler), {});
    if (options.atomic)
        return compose::save_all_atomically(*this, std::move(states), options, io, std::move(handler));
    save_options each;
    each.if_unchanged = options.if_unchanged;
    each.ttl = options.ttl;
    each.timeout = options.timeout;
    each.parent = options.parent;
    const auto call =
        std::make_shared<compose::bulk_call<compose::bulk_save>>(io, states.size(), std::move(handler));
    call->start([&](std::size_t i, auto to) {
        compose::access::save(*this, std::move(states[i]), each, std::move(to));
    });
}

} // namespace pgstate
