#include "support/checks.hpp"
#include "support/states.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::transaction;

TEST_CASE("a transaction commits everything it did", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state old("a", "old");
        co_await store->save(old);
        const agent_state state = full_state("a", "new");
        pgstate::saved saved;
        co_await store->transaction([&](transaction& tx) {
            saved = tx.save(state);
            CHECK(tx.erase("a", "old"));
            CHECK_FALSE(tx.erase("a", "never"));
        });
        const auto loaded = co_await store->load("a", "new");
        REQUIRE(loaded.has_value());
        CHECK(contents_of(*loaded) == contents_of(state));
        CHECK(loaded->version == saved.version);
        CHECK(loaded->created_at == saved.created_at);
        CHECK(loaded->updated_at == saved.updated_at);
        co_await check_missing(*store, "a", "old");
    });
}

TEST_CASE("a transaction sees what it wrote", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        co_await store->transaction([](transaction& tx) {
            CHECK_FALSE(tx.load("a", "s").has_value());
            agent_state state("a", "s");
            state.data["value"] = 1;
            const auto first = tx.save(state);
            auto loaded = tx.load("a", "s");
            REQUIRE(loaded.has_value());
            CHECK(loaded->data.at("value") == 1);
            CHECK(loaded->version == first.version);
            loaded->data["value"] = 2;
            const auto second = tx.save(*loaded, {.if_unchanged = true});
            CHECK(second.version > first.version);
            CHECK(second.created_at == first.created_at);
            CHECK(tx.erase("a", "s"));
            CHECK_FALSE(tx.erase("a", "s"));
            CHECK_FALSE(tx.load("a", "s").has_value());
            state.data["value"] = 3;
            CHECK(tx.save(state, {.if_unchanged = true}).version > second.version);
        });
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("value") == 3);
    });
}

TEST_CASE("a transaction gives its function's result", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const int number = co_await store->transaction([](transaction&) { return 42; });
        CHECK(number == 42);
        const std::string text =
            co_await store->transaction([](transaction&) { return std::string(100, 'x'); });
        CHECK(text == std::string(100, 'x'));
        // Named: g++ 12 destroys a temporary closure with such captures twice where it meets co_await.
        auto move_only = [value = std::make_unique<int>(7)](transaction&) mutable {
            return std::move(value);
        };
        const auto owned = co_await store->transaction(std::move(move_only));
        REQUIRE(owned);
        CHECK(*owned == 7);
        const auto result = co_await store->transaction([](transaction&) { return 1; }, as_result);
        REQUIRE(result.has_value());
        CHECK(*result == 1);
    });
}

TEST_CASE("a function that throws rolls everything back", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        state.data["value"] = 1;
        const auto saved = co_await store->save(state);

        const auto failed = co_await store->transaction(
            [&](transaction& tx) {
                state.data["value"] = 2;
                tx.save(state);
                tx.erase("a", "s");
                const agent_state other("a", "other");
                tx.save(other);
                throw std::runtime_error("the function's own reason");
            },
            as_result);
        const auto error = require_failure(failed, errc::callback_failed);
        CHECK(error.operation() == "transaction");
        CHECK(names(error, "the function's own reason"));
        REQUIRE(error.cause());
        CHECK_THROWS_AS(std::rethrow_exception(error.cause()), std::runtime_error);

        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("value") == 1);
        CHECK(loaded->version == saved.version);
        co_await check_missing(*store, "a", "other");
    });
}

TEST_CASE("what a function throws comes back as itself", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        // An error of pgstate's own passes through.
        const auto own = co_await store->transaction(
            [](transaction&) { throw pgstate::error(errc::not_found, "find", "no such tenant"); }, as_result);
        const auto error = require_failure(own, errc::not_found);
        CHECK(error.operation() == "find");
        CHECK(names(error, "no such tenant"));

        // Also what the transaction's own members throw.
        const auto refused =
            co_await store->transaction([](transaction& tx) { tx.load("", "s"); }, as_result);
        CHECK(names(require_failure(refused, errc::invalid_argument), "agent_id"));

        // Anything else is a failed callback, with the exception inside.
        const auto odd = co_await store->transaction([](transaction&) { throw 42; }, as_result);
        const auto wrapped = require_failure(odd, errc::callback_failed);
        REQUIRE(wrapped.cause());
        CHECK_THROWS_AS(std::rethrow_exception(wrapped.cause()), int);
        const auto system = co_await store->transaction(
            [](transaction&) {
                throw boost::system::system_error(
                    make_error_code(boost::system::errc::no_such_file_or_directory));
            },
            as_result);
        CHECK(require_failure(system, errc::callback_failed).cause());

        // And the store goes on as before.
        const int one = co_await store->transaction([](transaction&) { return 1; });
        CHECK(one == 1);
    });
}

TEST_CASE("a conflict within a transaction rolls it back", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        const auto saved = co_await store->save(state);
        const auto failed = co_await store->transaction(
            [&](transaction& tx) {
                const agent_state other("a", "other");
                tx.save(other);
                agent_state stale("a", "s");
                stale.version = saved.version + 1000;
                tx.save(stale, {.if_unchanged = true});
            },
            as_result);
        CHECK(require_failure(failed, errc::conflict).current_version() == saved.version);
        co_await check_missing(*store, "a", "other");

        const auto missing = co_await store->transaction(
            [](transaction& tx) {
                agent_state gone("a", "gone");
                gone.version = 1;
                tx.save(gone, {.if_unchanged = true});
            },
            as_result);
        CHECK(require_failure(missing, errc::conflict).current_version() == 0);
    });
}

TEST_CASE("a conflict that the function handles does not end the transaction", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        co_await store->save(state);
        co_await store->transaction([](transaction& tx) {
            agent_state mine("a", "s");
            mine.data["value"] = "mine";
            try {
                tx.save(mine, {.if_unchanged = true});
                FAIL("a state that exists was created");
            } catch (const pgstate::error& e) {
                mine.version = e.current_version().value();
            }
            tx.save(mine, {.if_unchanged = true});
        });
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("value") == "mine");
    });
}

TEST_CASE("a refused state within a transaction rolls it back", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const auto failed = co_await store->transaction(
            [](transaction& tx) {
                agent_state state("a", "s");
                tx.save(state);
                state.data["bad"] = bad_texts().front();
                tx.save(state);
            },
            as_result);
        CHECK(names(require_failure(failed, errc::invalid_argument), "data"));
        co_await check_count(*store, 0);
    });
}

TEST_CASE("a read-modify-write in transactions loses no update", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    constexpr int writers = 20;
    int done = 0;
    pgstate::transaction_options options;
    options.isolation = pgstate::isolation_level::serializable;
    options.max_retries = 1000;
    for (int i = 0; i < writers; ++i) {
        store->transaction(
            [](transaction& tx) {
                auto state = tx.load("a", "counter").value_or(agent_state("a", "counter"));
                const auto before = state.data.contains("n") ? state.data.at("n").as_int64() : 0;
                state.data["n"] = before + 1;
                tx.save(state);
            },
            options,
            [&done](std::exception_ptr failure) {
                CHECK_FALSE(failure);
                ++done;
            });
    }
    store.run_until([&] { return done == writers; });
    store.run([&]() -> asio::awaitable<void> {
        const auto loaded = co_await store->load("a", "counter");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("n") == writers);
    });
}
