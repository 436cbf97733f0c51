#ifndef PGSTATE_DETAIL_CALLBACK_HPP
#define PGSTATE_DETAIL_CALLBACK_HPP

#include <boost/asio/associator.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace pgstate::detail {

template <class T>
struct signature {
    using type = void(std::exception_ptr, T);
};
template <>
struct signature<void> {
    using type = void(std::exception_ptr);
};
/// The completion signature of an operation whose value is a `T`.
template <class T>
using signature_of = typename signature<T>::type;

/// A value that is made on one thread and handed to a completion on another.
template <class T>
using slot = std::shared_ptr<std::optional<T>>;

/// A handler of `void(std::exception_ptr)` that adds the value its callback left in the slot.
template <class Handler, class T>
struct value_relay {
    Handler handler;
    slot<T> value;

    void operator()(std::exception_ptr failure) {
        // A failed operation has no value; a handler still wants one, as Asio's signatures have it.
        T result = failure || !*value ? T() : std::move(**value);
        std::move(handler)(std::move(failure), std::move(result));
    }
};

template <class Function, class Handler>
struct bound_callback {
    Function callback;
    Handler completion;
};

/// Splits a user's `function` and the handler of its value into a `void` callback and a `void` completion, so that
/// everything behind them is compiled once. T must be default constructible (the value of a failed operation).
template <class Argument, class Function, class Handler>
auto bind_callback(Function function, Handler handler) {
    using value = std::invoke_result_t<Function, Argument>;
    // std::function wants copies, which a move-only function does not have.
    auto shared = std::make_shared<Function>(std::move(function));
    if constexpr (std::is_void_v<value>) {
        std::function<void(Argument)> callback = [shared](Argument argument) {
            std::invoke(*shared, argument);
        };
        return bound_callback<decltype(callback), Handler>{std::move(callback), std::move(handler)};
    } else {
        auto result = std::make_shared<std::optional<value>>();
        std::function<void(Argument)> callback = [shared, result](Argument argument) {
            result->emplace(std::invoke(*shared, argument));
        };
        return bound_callback<decltype(callback), value_relay<Handler, value>>{
            std::move(callback), {std::move(handler), std::move(result)}};
    }
}

} // namespace pgstate::detail

namespace boost::asio {

template <template <class, class> class Associator, class Handler, class T, class Default>
struct associator<Associator, pgstate::detail::value_relay<Handler, T>, Default>
    : Associator<Handler, Default> {
    static auto get(const pgstate::detail::value_relay<Handler, T>& h) noexcept {
        return Associator<Handler, Default>::get(h.handler);
    }
    static auto get(const pgstate::detail::value_relay<Handler, T>& h, const Default& fallback) noexcept {
        return Associator<Handler, Default>::get(h.handler, fallback);
    }
};

} // namespace boost::asio

#endif
