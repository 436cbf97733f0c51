#pragma once

#include "pgstate/detail/default_token.hpp"
#include "pgstate/error.hpp"

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/system/result.hpp>

#include <exception>
#include <type_traits>
#include <utility>

namespace pgstate {

/// What an operation started with `as_result` gives: a value or an `error`, never an exception.
template <class T>
using result = boost::system::result<T, error>;

/// The token behind `as_result`.
template <class Inner>
struct as_result_t {
    Inner inner; ///< the token that gets the result

    /// `as_result(token)`: any other token, with its completion signature turned into `void(result<T>)`.
    template <class Token>
    constexpr as_result_t<std::decay_t<Token>> operator()(Token&& token) const {
        return {std::forward<Token>(token)};
    }
};

/// A completion token for programs that dislike exceptions:
/// \code
///     auto loaded = co_await store.load("agent-1", "session-1", pgstate::as_result);
///     if (!loaded && loaded.error() == pgstate::errc::timed_out) ...
/// \endcode
/// `as_result` alone is awaited, as no token is; `as_result(token)` adapts any other token. No exception is made on the way.
inline constexpr as_result_t<default_token> as_result{};

namespace detail {

/// Whether a handler calls another one, its member `handler`, and runs where that does.
template <class Handler>
inline constexpr bool wraps_handler = false;

template <class Handler>
struct as_result_handler {
    Handler handler;

    /// From pgstate, whose operations make no exceptions.
    template <class T>
    void operator()(result<T> outcome) {
        std::move(handler)(std::move(outcome));
    }
    void operator()(std::exception_ptr failure) {
        if (failure)
            std::move(handler)(result<void>(to_error(std::move(failure))));
        else
            std::move(handler)(result<void>());
    }
    template <class T>
    void operator()(std::exception_ptr failure, T value) {
        if (failure)
            std::move(handler)(result<T>(to_error(std::move(failure))));
        else
            std::move(handler)(result<T>(std::move(value)));
    }
};

template <class Handler>
inline constexpr bool wraps_handler<as_result_handler<Handler>> = true;

template <class Handler, class Default = std::false_type>
struct takes_result;

template <class Handler, class Default, class = void>
struct takes_result_of {
    using type = Default;
    static type get(const Handler&, const Default& = {}) noexcept { return {}; }
};
template <class Handler, class Default>
struct takes_result_of<Handler, Default,
                       std::void_t<typename boost::asio::associator<takes_result, Handler, Default>::type>>
    : boost::asio::associator<takes_result, Handler, Default> {};

/// Whether a handler takes a `result<T>`: `type` is a `bool_constant`. Written as one of Asio's associators, since those see
/// through whatever is bound to a handler.
template <class Handler, class Default>
struct takes_result : takes_result_of<Handler, Default> {};
template <class Handler, class Default>
struct takes_result<as_result_handler<Handler>, Default> {
    using type = std::true_type;
    static type get(const as_result_handler<Handler>&, const Default& = {}) noexcept { return {}; }
};

template <class Signature>
struct result_signature;
template <>
struct result_signature<void(std::exception_ptr)> {
    using type = void(result<void>);
};
template <class T>
struct result_signature<void(std::exception_ptr, T)> {
    using type = void(result<T>);
};

} // namespace detail
} // namespace pgstate

namespace boost::asio {

template <class Inner, class Signature>
class async_result<pgstate::as_result_t<Inner>, Signature> {
    using result_signature = typename pgstate::detail::result_signature<Signature>::type;

public:
    template <class Initiation, class Token, class... Args>
    static auto initiate(Initiation&& initiation, Token&& token, Args&&... args) {
        Inner inner = std::forward<Token>(token).inner;
        return async_initiate<Inner, result_signature>(
            [initiation = std::forward<Initiation>(initiation)](auto handler, auto&&... rest) mutable {
                using adapted = pgstate::detail::as_result_handler<decltype(handler)>;
                std::move(initiation)(adapted{std::move(handler)}, std::forward<decltype(rest)>(rest)...);
            },
            inner, std::forward<Args>(args)...);
    }
};

/// A handler of pgstate's that calls another one, its member `handler`, has what is associated with that.
template <template <class, class> class Associator, class Wrapper, class Default>
requires pgstate::detail::wraps_handler<Wrapper>
struct associator<Associator, Wrapper, Default> : Associator<decltype(Wrapper::handler), Default> {
    static auto get(const Wrapper& h) noexcept {
        return Associator<decltype(Wrapper::handler), Default>::get(h.handler);
    }
    static auto get(const Wrapper& h, const Default& fallback) noexcept {
        return Associator<decltype(Wrapper::handler), Default>::get(h.handler, fallback);
    }
};

} // namespace boost::asio
