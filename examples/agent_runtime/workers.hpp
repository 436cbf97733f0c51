#ifndef AGENT_RUNTIME_WORKERS_HPP
#define AGENT_RUNTIME_WORKERS_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <utility>
#include <vector>

namespace demo {

/// Runs the coroutines `make(0)`, `make(1)`, ... at the same time, waits for all of them, and throws on what the first
/// of them threw.
template <class Make>
boost::asio::awaitable<void> run_all(std::size_t count, Make& make) {
    namespace asio = boost::asio;
    if (count == 0) co_return;
    const auto executor = co_await asio::this_coro::executor;
    using operation = decltype(asio::co_spawn(executor, make(count), asio::deferred));
    std::vector<operation> operations;
    operations.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
        operations.push_back(asio::co_spawn(executor, make(i), asio::deferred));
    const auto [order, failures] = co_await asio::experimental::make_parallel_group(std::move(operations))
                                       .async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
    for (const std::size_t i : order)
        if (failures[i]) std::rethrow_exception(failures[i]);
}

/// Calls `work(item)` for every item, a bounded number of them at the same time; after a failure for no further one.
template <class Item, class Work>
boost::asio::awaitable<void> for_each_item(const std::vector<Item>& items, Work work) {
    constexpr std::size_t at_once = 128;
    std::atomic<std::size_t> next = 0;
    auto worker = [&](std::size_t) -> boost::asio::awaitable<void> {
        try {
            for (std::size_t i = next++; i < items.size(); i = next++)
                co_await work(items[i]);
        } catch (...) {
            next = items.size();
            throw;
        }
    };
    co_await run_all(std::min(at_once, items.size()), worker);
}

} // namespace demo

#endif
