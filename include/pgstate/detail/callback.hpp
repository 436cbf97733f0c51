#pragma once

#include "pgstate/detail/completion.hpp"

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

template <class T>
inline constexpr bool wraps_handler<value_relay<T>> = true;

/// `initiate` for an operation that calls a user's `function`: splits that, and the handler of its value, into a `void`
/// callback and a `void` completion, so that everything behind `start(self, callback, options, completion)` is compiled once.
template <class Argument, class Token, class Self, class Start, class Function, class Options>
auto initiate_with(Token& token, Start start, Self* self, Function function, Options options) {
    using value = std::invoke_result_t<Function, Argument>;
    const auto begin = [start](Self* in, Function given, Options with, completion<value> handler) {
        // std::function wants copies, which a move-only function does not have.
        auto shared = std::make_shared<Function>(std::move(given));
        if constexpr (std::is_void_v<value>) {
            auto callback = [shared](Argument argument) { std::invoke(*shared, argument); };
            std::invoke(start, in, std::move(callback), with, std::move(handler));
        } else {
            auto made = std::make_shared<std::optional<value>>();
            auto callback = [shared, made](Argument argument) {
                made->emplace(std::invoke(*shared, argument));
            };
            std::invoke(start, in, std::move(callback), with,
                        value_relay<value>{std::move(handler), std::move(made)});
        }
    };
    return initiate<value>(token, begin, self, std::move(function), options);
}

} // namespace pgstate::detail
