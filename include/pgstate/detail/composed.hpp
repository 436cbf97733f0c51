#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/operations.hpp"
#include "pgstate/result.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace pgstate {

class state_store;

namespace detail {

// What the operations of a store that are made of others need in their templates.

using load_results = std::vector<std::optional<agent_state>>;
using save_results = std::vector<result<saved>>;

/// What an operation of several steps keeps of its store, whose handle may be moved or end in between.
struct store_reference {
    boost::asio::any_io_executor executor; ///< the store's
    /// Another handle of the same store; null when it has ended.
    std::function<std::unique_ptr<state_store>()> handle;
};

/// A function that `state_store::update` takes.
template <class Change>
concept state_function = std::invocable<Change&, agent_state&> &&
    (std::is_void_v<std::invoke_result_t<Change&, agent_state&>> ||
     std::same_as<std::invoke_result_t<Change&, agent_state&>, bool>);

/// True: save what it made.
using bound_change = std::function<bool(agent_state&)>;

template <state_function Change>
bound_change bind_change(Change change) {
    // std::function wants copies, which a move-only function does not have.
    return [shared = std::make_shared<Change>(std::move(change))](agent_state& state) {
        if constexpr (std::is_void_v<std::invoke_result_t<Change&, agent_state&>>) {
            std::invoke(*shared, state);
            return true;
        } else {
            return std::invoke(*shared, state);
        }
    };
}

template <class Range, class T>
concept range_of =
    std::ranges::input_range<Range> && std::convertible_to<std::ranges::range_reference_t<Range>, T>;

/// A `T` made of each element.
template <class T, std::ranges::input_range Range>
std::vector<T> copies(Range&& range) {
    std::vector<T> made;
    if constexpr (std::ranges::sized_range<Range>)
        made.reserve(static_cast<std::size_t>(std::ranges::size(range)));
    for (auto&& each : range)
        made.emplace_back(std::forward<decltype(each)>(each));
    return made;
}

} // namespace detail
} // namespace pgstate
