// With as_result, a failure is a value on its whole way: no exception is made for it.

#include "support/exceptions.hpp"
#include "support/stores.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <exception>
#include <limits>
#include <optional>
#include <utility>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

/// Starts an operation with `as_result(handler)`, and requires that it fails with `code` and that no exception was made.
template <class T, class Code, class Start>
void require_value(store_under_test& store, Code code, Start start) {
    std::optional<pgstate::result<T>> outcome;
    const auto before = exceptions_made();
    start(as_result([&](pgstate::result<T> result) { outcome.emplace(std::move(result)); }));
    store.run_until([&] { return outcome.has_value(); });
    const auto after = exceptions_made();
    REQUIRE(outcome->has_error());
    INFO(outcome->error().what());
    CHECK(outcome->error() == code);
    CHECK(after - before == 0);
}

} // namespace

TEST_CASE("with as_result no exception is made for a failure", "[contract][outcomes]") {
    store_under_test store;
    agent_state state("a", "s");
    store.wait(store->save(state)).apply_to(state);
    auto stale = state;
    stale.version -= 1;
    const auto meanwhile = [&](agent_state& loaded) { store->save(loaded, [](auto&&...) {}); };
    using pgstate::saved;

    SECTION("conflict") {
        require_value<saved>(store, errc::conflict,
                             [&](auto token) { store->save(stale, {.if_unchanged = true}, token); });
        require_value<bool>(store, errc::conflict, [&](auto token) {
            store->erase("a", "s", {.if_version = stale.version}, token);
        });
        require_value<saved>(store, errc::conflict, [&](auto token) {
            store->append("a", "s", agent_message("user", "hi"), {.if_version = stale.version}, token);
        });
        require_value<saved>(store, errc::conflict, [&](auto token) {
            store->update("a", "s", meanwhile, {.max_retries = 0}, token);
        });
    }
    SECTION("not_found") {
        require_value<saved>(store, errc::not_found,
                             [&](auto token) { store->touch("a", "missing", 1h, token); });
        require_value<saved>(store, errc::not_found, [&](auto token) {
            store->append("a", "missing", agent_message("user", "hi"), token);
        });
        require_value<saved>(store, errc::not_found,
                             [&](auto token) { store->increment("a", "missing", "/data/n", 1, token); });
        require_value<saved>(store, errc::not_found, [&](auto token) {
            store->update(
                "a", "missing", [](agent_state&) {}, token);
        });
    }
    SECTION("timed_out") {
        require_value<saved>(store, errc::timed_out, [&](auto token) {
            constexpr auto always = std::numeric_limits<int>::max();
            store->update("a", "s", meanwhile, {.max_retries = always, .timeout = 20ms}, token);
        });
    }
    SECTION("operation_aborted, and what is bound to the token is seen through") {
        asio::cancellation_signal give_up;
        auto strand = asio::make_strand(store.context());
        require_value<saved>(store, asio::error::operation_aborted, [&](auto token) {
            const auto cancel = [&](agent_state&) { give_up.emit(asio::cancellation_type::terminal); };
            const auto handler = asio::bind_cancellation_slot(give_up.slot(), token.inner);
            store->update("a", "s", cancel, asio::bind_executor(strand, as_result(handler)));
        });
    }
}

TEST_CASE("without as_result a failure becomes one exception", "[contract][outcomes]") {
    store_under_test store(store_kind::memory);
    std::exception_ptr failure;
    const auto before = exceptions_made();
    store->touch("a", "missing", 1h, [&](std::exception_ptr why, pgstate::saved) { failure = why; });
    store.run_until([&] { return failure != nullptr; });
    CHECK(exceptions_made() - before == 1);
    CHECK(failure_of([&] { std::rethrow_exception(failure); }) == errc::not_found);
}
