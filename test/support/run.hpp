#ifndef PGSTATE_TEST_RUN_HPP
#define PGSTATE_TEST_RUN_HPP

#include "pgstate/error.hpp"
#include "pgstate/result.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace pgstate_test {

namespace asio = boost::asio;

/// Longer than anything takes that works: only a hang is ever ended by it.
inline constexpr std::chrono::seconds patience{60};

/// Runs `context` on this thread until `done()`. A context that runs out of work before is as wrong as a hang.
template <class Predicate>
void run_until(asio::io_context& context, Predicate done) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    context.restart();
    while (!done()) {
        if (context.run_one_until(deadline) == 0 && !done())
            throw std::runtime_error(context.stopped()
                                         ? "the io_context ran out of work before the operation completed"
                                         : "the operation did not complete in time");
    }
}

/// The value type of an awaitable.
template <class Awaitable>
struct awaited;
template <class T, class Executor>
struct awaited<asio::awaitable<T, Executor>> {
    using type = T;
};

/// Runs the coroutine that `function()` makes to its end on this thread; throws what it threw.
void run_coroutine(asio::io_context& context, std::function<asio::awaitable<void>()> function);

/// Puts what `awaited` gives into `value`.
template <class T>
asio::awaitable<void> keep(asio::awaitable<T> awaited, std::optional<T>& value) {
    value.emplace(co_await std::move(awaited));
}

/// Runs the coroutine that `function()` makes to its end on this thread; gives its value, or throws what it threw.
/// co_spawn is compiled once for it, and not for each function, which is a sixth of what the tests take to compile.
template <class Function>
auto run(asio::io_context& context, Function function) {
    using value = typename awaited<std::invoke_result_t<Function&>>::type;
    if constexpr (std::is_void_v<value>) {
        run_coroutine(context, std::move(function));
    } else {
        std::optional<value> result;
        run_coroutine(context, [function = std::move(function), &result]() mutable {
            return keep(function(), result);
        });
        return std::move(*result);
    }
}

/// Runs `operation` to its end on this thread; gives its value, or throws what it failed with.
template <class T>
T wait(asio::io_context& context, asio::awaitable<T> operation) {
    return run(context, [&operation] { return std::move(operation); });
}
/// The same for a deferred operation.
template <class Operation>
auto wait(asio::io_context& context, Operation operation) {
    using value = typename awaited<decltype(std::move(operation)(asio::use_awaitable))>::type;
    return run(context,
               [&operation]() -> asio::awaitable<value> { co_return co_await std::move(operation); });
}

/// Gives handlers that require success, and counts those that have run.
struct successes {
    int count = 0;

    auto handler() {
        return [this](std::exception_ptr failure, auto&&...) {
            if (failure) FAIL_CHECK(pgstate::to_error(failure).what());
            ++count;
        };
    }
};

/// Requires that `result` failed with `code`; gives the error.
template <class T>
pgstate::error require_failure(const pgstate::result<T>& result, pgstate::errc code) {
    REQUIRE(result.has_error());
    INFO(result.error().what());
    REQUIRE(result.error() == code);
    return result.error();
}

/// The error that `function` throws; the test fails where it throws none or another.
template <class Function>
pgstate::error failure_of(Function function) {
    try {
        function();
    } catch (const pgstate::error& e) {
        return e;
    }
    FAIL("nothing was thrown");
    return {};
}

/// Whether what() holds `part`.
inline bool names(const pgstate::error& e, const std::string& part) {
    return std::string(e.what()).find(part) != std::string::npos;
}

} // namespace pgstate_test

#endif
