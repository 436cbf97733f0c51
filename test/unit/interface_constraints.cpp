// What the compiler refuses of the interface, and what it takes.

#include "pgstate/connection_pool.hpp"
#include "pgstate/state_store.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <chrono>
#include <cstdint>
#include <type_traits>

namespace {

namespace asio = boost::asio;
using pgstate::state_store;

// increment

template <class Number>
concept addable = requires(state_store& store, Number by) {
    store.increment("a", "s", "/data/n", by, asio::detached);
};
static_assert(addable<int> && addable<long> && addable<long long> && addable<short> && addable<std::int8_t>);
static_assert(addable<double> && addable<float>);
static_assert(!addable<unsigned> && !addable<std::uint64_t> && !addable<std::uint8_t> &&
              !addable<std::size_t>);
static_assert(!addable<bool> && !addable<char> && !addable<wchar_t> && !addable<char8_t> &&
              !addable<char32_t>);
static_assert(!addable<long double>);

// Tokens

struct no_token {};

/// How many of six operations take a token.
template <class Token>
constexpr int takers() {
    constexpr bool load = requires(state_store & store, Token token) {
        store.load("a", "s", token);
    };
    constexpr bool health_check = requires(state_store & store, Token token) {
        store.health_check(token);
    };
    constexpr bool close = requires(state_store & store, Token token) {
        store.close(token);
    };
    constexpr bool transaction = requires(state_store & store, Token token) {
        store.transaction([](pgstate::transaction&) {}, token);
    };
    constexpr bool with_connection = requires(pgstate::connection_pool & pool, Token token) {
        pool.with_connection([](pqxx::connection&) { return 1; }, token);
    };
    constexpr bool close_pool = requires(pgstate::connection_pool & pool, Token token) {
        pool.close(token);
    };
    return load + health_check + close + transaction + with_connection + close_pool;
}
static_assert(takers<asio::detached_t>() == 6 && takers<asio::use_future_t<>>() == 6);
static_assert(takers<asio::use_awaitable_t<>>() == 6 && takers<pgstate::default_token>() == 6);
static_assert(takers<std::remove_const_t<decltype(pgstate::as_result)>>() == 6);
static_assert(takers<no_token>() == 0 && takers<int>() == 0);

// redirect_error, which a static_assert refuses (test/compile)

using redirected = asio::redirect_error_t<asio::use_future_t<>>;
static_assert(pgstate::detail::redirects_error<redirected>);
static_assert(pgstate::detail::redirects_error<asio::executor_binder<redirected, asio::system_executor>>);
static_assert(pgstate::detail::redirects_error<pgstate::as_result_t<redirected>>);
static_assert(
    !pgstate::detail::redirects_error<asio::executor_binder<asio::use_future_t<>, asio::system_executor>>);

// Options

static_assert(requires(state_store & store, const pgstate::agent_state& state) {
    store.save(state, {.if_unchanged = true});
    store.save(state, {.ttl = std::chrono::hours(1), .timeout = std::chrono::seconds(5)});
    store.load("a", "s", {.timeout = std::chrono::seconds(5)});
    store.touch("a", "s", std::chrono::hours(1), {.timeout = std::chrono::seconds(5)});
    store.append("a", "s", {{"user", "hi"}}, {.create = true});
    store.count({.estimate = true});
    store.health_check({.timeout = std::chrono::seconds(5)});
});

} // namespace
