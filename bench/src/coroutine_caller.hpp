#ifndef PGSTATE_BENCH_COROUTINE_CALLER_HPP
#define PGSTATE_BENCH_COROUTINE_CALLER_HPP

#include "pgstate/error.hpp"
#include "pgstate/operations.hpp"
#include "pgstate/result.hpp"
#include "pgstate/state_store.hpp"
#include "phase.hpp"
#include "workload.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>

#include <concepts>
#include <stdexcept>
#include <utility>

namespace bench {

[[noreturn]] inline void report_missing(key what) {
    throw std::runtime_error("load: " + what.agent_id() + ", " + what.session_id() + " is not there");
}

/// asio::deferred, awaited without a coroutine frame of its own. As results: the Asio of Boost 1.81 cannot await a
/// deferred operation that completes with an exception and a value.
using deferred_results = pgstate::as_result_t<boost::asio::deferred_t>;

template <class T>
T value_of(T value) {
    return value;
}
template <class T>
T value_of(pgstate::result<T> outcome) {
    return std::move(outcome).value();
}

template <class Token, class Store>
boost::asio::awaitable<void> rewrite(Store& store, const workload& work, key where) {
    const std::string agent = where.agent_id();
    const std::string session = where.session_id();
    for (;;) {
        auto state = value_of(co_await store.load(agent, session, Token{}));
        if (!state) report_missing(where);
        work.append_message(*state);
        try {
            value_of(co_await store.save(*state, {.if_unchanged = true}, Token{}));
            co_return;
        } catch (const pgstate::error& e) {
            if (e != pgstate::errc::conflict) throw;
        }
    }
}

/// One caller as a coroutine: an operation after the other until the phase is over.
template <class Token, class Store>
boost::asio::awaitable<void> call_until_over(Store& store, const workload& work, phase& now,
                                             unsigned caller) {
    auto choices = work.choices_of(caller, now.number());
    while (!now.over()) {
        const auto what = work.pick_operation(choices);
        const auto whose = work.pick_key(choices);
        const std::string agent = whose.agent_id();
        const std::string session = whose.session_id();
        auto began = phase::clock::now();
        try {
            switch (what) {
            case operation::load: {
                const auto loaded = value_of(co_await store.load(agent, session, Token{}));
                if (!loaded && work.all_present()) report_missing(whose);
                now.done(began, loaded ? loaded->history.size() : 0);
                break;
            }
            case operation::list: {
                const auto page = value_of(co_await store.list(agent, Token{}));
                now.done(began, page.size());
                break;
            }
            case operation::append:
                if constexpr (std::derived_from<Store, pgstate::state_store>) {
                    const auto more = work.make_message();
                    value_of(co_await store.append(agent, session, more, Token{}));
                    now.done(began, 1);
                }
                break;
            case operation::rewrite:
                co_await rewrite<Token>(store, work, whose);
                now.done(began, 1);
                break;
            case operation::erase: {
                const bool erased = value_of(co_await store.erase(agent, session, Token{}));
                now.done(began, erased ? 1 : 0);
                began = phase::clock::now();
                [[fallthrough]];
            }
            default: {
                const auto state = work.make_state(whose, choices);
                const auto saved = value_of(co_await store.save(state, Token{}));
                now.done(began, static_cast<std::uint64_t>(saved.version));
                break;
            }
            }
        } catch (...) {
            now.failed(std::current_exception());
        }
    }
    now.leave();
}

} // namespace bench

#endif
