#ifndef PGSTATE_COMPOSE_COMPOSED_HPP
#define PGSTATE_COMPOSE_COMPOSED_HPP

#include "detail/complete.hpp"
#include "detail/pending_completion.hpp"
#include "pgstate/error.hpp"
#include "pgstate/state_store.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::compose {

/// The private members of a store and of a transaction, for the operations that are made of others.
class access {
public:
    static detail::store_reference refer(const state_store& to) { return to.do_refer(); }

    static void save(state_store& in, detail::encoded_state state, save_options options,
                     completion<void(std::exception_ptr, saved)> handler) {
        in.do_save(std::move(state), options, std::move(handler));
    }
    static void load(state_store& in, state_key key, load_options options,
                     completion<void(std::exception_ptr, std::optional<agent_state>)> handler) {
        in.do_load(std::move(key.agent_id), std::move(key.session_id), options, std::move(handler));
    }
    static void erase(state_store& in, state_key key, erase_options options,
                      completion<void(std::exception_ptr, bool)> handler) {
        in.do_erase(std::move(key.agent_id), std::move(key.session_id), options, std::move(handler));
    }
    static void transaction(state_store& in, std::function<void(class transaction&)> function,
                            transaction_options options, completion<void(std::exception_ptr)> handler) {
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

/// Completes a call that is over before it began, with `failure` or, without one, with empty values.
template <class... Values>
void complete_at_once(const boost::asio::any_io_executor& io,
                      completion<void(std::exception_ptr, Values...)> handler, std::exception_ptr failure) {
    detail::pending_completion<void(std::exception_ptr, Values...)> pending(std::move(handler), io);
    pending.post(io, [failure = std::move(failure)](auto to) mutable {
        std::move(to)(std::move(failure), Values()...);
    });
}

/// ... of a handle without a store.
template <class... Values>
void complete_without_store(completion<void(std::exception_ptr, Values...)> handler,
                            std::string_view operation) {
    detail::post_completion_from_nowhere(
        std::move(handler), std::make_exception_ptr(error(errc::closed, operation)), Values()...);
}

} // namespace pgstate::compose

#endif
