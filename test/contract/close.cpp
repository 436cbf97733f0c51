#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <exception>
#include <string>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

void check_closed(const pgstate::error& error, const std::string& operation) {
    CHECK(error.operation() == operation);
    CHECK(names(error, operation));
}

} // namespace

TEST_CASE("a closed store refuses every operation", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        co_await store->save(state);
        co_await store->close();

        const auto saved = co_await store->save(state, as_result);
        check_closed(require_failure(saved, errc::closed), "save");
        const auto loaded = co_await store->load("a", "s", as_result);
        check_closed(require_failure(loaded, errc::closed), "load");
        const auto erased = co_await store->erase("a", "s", as_result);
        check_closed(require_failure(erased, errc::closed), "erase");
        const auto listed = co_await store->list("a", as_result);
        check_closed(require_failure(listed, errc::closed), "list");
        const auto counted = co_await store->count(as_result);
        check_closed(require_failure(counted, errc::closed), "count");
        const auto checked = co_await store->health_check(as_result);
        check_closed(require_failure(checked, errc::closed), "health_check");
        const auto done =
            co_await store->transaction([](pgstate::transaction&) { FAIL("called"); }, as_result);
        check_closed(require_failure(done, errc::closed), "transaction");
    });
}

TEST_CASE("closing twice is no error", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    int done = 0;
    for (int i = 0; i < 2; ++i)
        store->close([&](std::exception_ptr failure) {
            CHECK_FALSE(failure);
            ++done;
        });
    store.run_until([&] { return done == 2; });
    store.run([&]() -> asio::awaitable<void> { co_await store->close(); });
}

TEST_CASE("close lets what was accepted finish", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    constexpr int count = 100;
    int saved = 0;
    int transactions = 0;
    bool closed = false;
    for (int i = 0; i < count; ++i) {
        const agent_state state("a", std::to_string(i));
        store->save(state, [&](std::exception_ptr failure, pgstate::saved) {
            CHECK_FALSE(failure);
            ++saved;
        });
    }
    for (int i = 0; i < 3; ++i) {
        store->transaction(
            [i](pgstate::transaction& tx) {
                const agent_state state("t", std::to_string(i));
                tx.save(state);
            },
            [&](std::exception_ptr failure) {
                CHECK_FALSE(failure);
                ++transactions;
            });
    }
    store->close([&](std::exception_ptr failure) {
        CHECK_FALSE(failure);
        closed = true;
    });
    store.run_until([&] { return closed && saved == count && transactions == 3; });
}
