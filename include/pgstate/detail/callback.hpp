#ifndef PGSTATE_DETAIL_CALLBACK_HPP
#define PGSTATE_DETAIL_CALLBACK_HPP

#include "pgstate/detail/completion.hpp"

#include <boost/asio/associator.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace pgstate::detail {

/// A value that is made on one thread and handed to a completion on another.
template <class T>
using slot = std::shared_ptr<std::optional<T>>;

/// A handler of `result<void>` that adds the value its callback left in the slot. \pre it left one, unless it failed
template <class T>
struct value_relay {
    pgstate::completion<T> handler;
    slot<T> value;

    void operator()(result<void> outcome) {
        if (outcome)
            std::move(handler)(result<T>(boost::system::in_place_value, std::move(**value)));
        else
            std::move(handler)(result<T>(outcome.error()));
    }
};

template <class Function, class Handler>
struct bound_callback {
    Function callback;
    Handler completion;
};

/// Splits a user's `function` and the handler of its value into a `void` callback and a `void` completion, so that
/// everything behind them is compiled once.
template <class Argument, class Function, class value = std::invoke_result_t<Function, Argument>>
auto bind_callback(Function function, completion<value> handler) {
    // std::function wants copies, which a move-only function does not have.
    auto shared = std::make_shared<Function>(std::move(function));
    if constexpr (std::is_void_v<value>) {
        std::function<void(Argument)> callback = [shared](Argument argument) {
            std::invoke(*shared, argument);
        };
        return bound_callback<decltype(callback), completion<value>>{std::move(callback), std::move(handler)};
    } else {
        auto result = std::make_shared<std::optional<value>>();
        std::function<void(Argument)> callback = [shared, result](Argument argument) {
            result->emplace(std::invoke(*shared, argument));
        };
        return bound_callback<decltype(callback), value_relay<value>>{
            std::move(callback), {std::move(handler), std::move(result)}};
    }
}

} // namespace pgstate::detail

namespace boost::asio {

template <template <class, class> class Associator, class T, class Default>
struct associator<Associator, pgstate::detail::value_relay<T>, Default>
    : Associator<pgstate::completion<T>, Default> {
    static auto get(const pgstate::detail::value_relay<T>& h) noexcept {
        return Associator<pgstate::completion<T>, Default>::get(h.handler);
    }
    static auto get(const pgstate::detail::value_relay<T>& h, const Default& fallback) noexcept {
        return Associator<pgstate::completion<T>, Default>::get(h.handler, fallback);
    }
};

} // namespace boost::asio

#endif
