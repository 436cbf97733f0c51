#ifndef PGSTATE_BENCH_CALLERS_HPP
#define PGSTATE_BENCH_CALLERS_HPP

#include "callback_caller.hpp"
#include "coroutine_caller.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <deque>

namespace bench {

template <class Token, class Store>
outcome run_coroutines(engine& runs_on, Store& store, const workload& work, phase& now, unsigned callers) {
    for (unsigned i = 0; i < callers; ++i)
        boost::asio::co_spawn(runs_on.executor(), call_until_over<Token>(store, work, now, i),
                              boost::asio::detached);
    return now.wait();
}

template <class Store>
outcome run_callbacks(engine& runs_on, Store& store, const workload& work, phase& now, unsigned callers) {
    std::deque<callback_caller<Store>> all;
    for (unsigned i = 0; i < callers; ++i) {
        auto& caller = all.emplace_back(store, work, now, i);
        boost::asio::post(runs_on.executor(), [&caller] { caller.start(); });
    }
    return now.wait();
}

/// Runs the callers of one phase against `store`: a postgres_store, or anything with the same operations.
template <class Store>
outcome run_callers(engine& runs_on, Store& store, const workload& work, phase& now,
                    const arguments& chosen) {
    switch (chosen.token) {
    case token_kind::deferred:
        return run_coroutines<deferred_results>(runs_on, store, work, now, chosen.callers);
    case token_kind::callback: return run_callbacks(runs_on, store, work, now, chosen.callers);
    default: return run_coroutines<boost::asio::use_awaitable_t<>>(runs_on, store, work, now, chosen.callers);
    }
}

} // namespace bench

#endif
