#pragma once

#include "pgstate/result.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/redirect_error.hpp>

#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

namespace pgstate {

/// The handler of an operation whose value is a `T`, whatever token it was started with. Inside the library an outcome is a
/// `result<T>`; it becomes an exception_ptr where it leaves the library, if the handler wants one.
template <class T>
using completion = boost::asio::any_completion_handler<void(result<T>)>;

namespace detail {

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

/// A completion token for an operation whose value is a `T`.
template <class Token, class T>
concept token_for = boost::asio::completion_token_for<Token, signature_of<T>>;

/// Whether a token is a `redirect_error`, under whatever is bound to it.
template <class Token>
inline constexpr bool redirects_error = false;
template <template <class...> class Bound, class Token, class... More>
inline constexpr bool redirects_error<Bound<Token, More...>> = redirects_error<Token>;
template <class Token>
inline constexpr bool redirects_error<boost::asio::redirect_error_t<Token>> = true;

/// A handler of `result<T>` for one of `signature_of<T>`.
template <class T, class Handler>
struct exception_relay {
    Handler handler;

    void operator()(result<T> outcome) {
        // Not written as `f(failure, value)` with a failure made before: a success makes none.
        if constexpr (std::is_void_v<T>) {
            if (outcome)
                std::move(handler)(std::exception_ptr());
            else
                std::move(handler)(std::make_exception_ptr(outcome.error()));
        } else if (outcome) {
            std::move(handler)(std::exception_ptr(), *std::move(outcome));
        } else {
            // A failed operation has no value; a handler still wants one, as Asio's signatures have it.
            std::move(handler)(std::make_exception_ptr(outcome.error()), T());
        }
    }
};

template <class T, class Handler>
inline constexpr bool wraps_handler<exception_relay<T, Handler>> = true;

/// Where outcomes leave the library: `handler` takes `signature_of<T>`, or, with `as_result`, the `result<T>` as it is.
template <class T, class Handler>
completion<T> to_completion(Handler handler) {
    if constexpr (takes_result<Handler>::type::value)
        return completion<T>(std::move(handler));
    else
        return completion<T>(exception_relay<T, Handler>{std::move(handler)});
}

/// Calls `start(arguments..., completion<T>)`.
template <class T, class Start>
struct initiation {
    Start start;

    template <class Handler, class... Arguments>
    void operator()(Handler&& handler, Arguments&&... arguments) const {
        std::invoke(start, std::forward<Arguments>(arguments)...,
                    to_completion<T, std::decay_t<Handler>>(std::forward<Handler>(handler)));
    }
};

/// What every operation's function template does: async_initiate, with a `completion<T>` as the last argument of `start`.
template <class T, class Token, class Start, class... Arguments>
auto initiate(Token& token, Start start, Arguments&&... arguments) {
    static_assert(
        !redirects_error<std::decay_t<Token>>,
        "pgstate: redirect_error cannot be used here, because an error of pgstate is more than an error_code "
        "(it has a message, a SQLSTATE, a version); use pgstate::as_result instead");
    return boost::asio::async_initiate<Token, signature_of<T>>(initiation<T, Start>{std::move(start)}, token,
                                                               std::forward<Arguments>(arguments)...);
}

} // namespace detail
} // namespace pgstate
