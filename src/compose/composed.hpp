#pragma once

#include "detail/pending_completion.hpp"
#include "pgstate/detail/encoded_state.hpp"
#include "pgstate/error.hpp"
#include "pgstate/state_store.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate::compose {

/// The private members of a store and of a transaction, for the operations that are made of others.
class access {
public:
    static detail::store_reference refer(const state_store& to) { return to.do_refer(); }

    static void save(state_store& in, detail::encoded_state state, save_options options,
                     completion<saved> handler) {
        in.do_save(std::move(state), options, std::move(handler));
    }
    static void load(state_store& in, state_key key, load_options options,
                     completion<std::optional<agent_state>> handler) {
        in.do_load(std::move(key.agent_id), std::move(key.session_id), options, std::move(handler));
    }
    static void erase(state_store& in, state_key key, erase_options options, completion<bool> handler) {
        in.do_erase(std::move(key.agent_id), std::move(key.session_id), options, std::move(handler));
    }
    static void transaction(state_store& in, std::function<void(class transaction&)> function,
                            transaction_options options, completion<void> handler) {
        in.do_transaction(std::move(function), options, std::move(handler));
    }
    static saved save(class transaction& in, const detail::encoded_state& state, save_options options) {
        return in.do_save(state, options);
    }
};

/// `why` as the failure of `operation`. \param where  what it was about, if not empty
inline error as_failure_of(std::string_view operation, const error& why, std::string_view where = {}) {
    std::string what(where);
    if (!where.empty()) what.append(": ");
    error failure(why.code(), operation, what.append(why.what()));
    failure.with_sqlstate(why.sqlstate()).with_cause(why.cause());
    if (const auto version = why.current_version()) failure.with_current_version(*version);
    return failure;
}

/// Completes a call that is over before it began.
template <class T>
void complete_at_once(const boost::asio::any_io_executor& io, completion<T> handler, result<T> outcome) {
    detail::pending_completion<T>(std::move(handler), io).post(io, std::move(outcome));
}

/// The pause before the `retry`-th attempt (from 1) of a writer who found another's version: anything from nothing to a
/// limit that doubles from 2 ms to 500 ms, so that writers who met once do not meet again.
/// \param random  0 to 1
std::chrono::microseconds conflict_pause(int retry, double random) noexcept;

/// The positions of `states` in the order of their keys, by bytes: the order in which one transaction saves them, so that
/// two transactions that lock some of the same rows do not wait for each other.
/// \throws error invalid_argument - a state is refused, or two have the same key; names the positions
std::vector<std::size_t> order_by_key(const std::vector<detail::encoded_state>& states);

} // namespace pgstate::compose
