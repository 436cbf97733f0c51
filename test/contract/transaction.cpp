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
    store_under_test store;
    store.wait(store->save(agent_state("a", "old")));
    const agent_state state = full_state("a", "new");
    pgstate::saved saved;
    store.wait(store->transaction([&](transaction& tx) {
        saved = tx.save(state);
        CHECK(tx.erase("a", "old"));
        CHECK_FALSE(tx.erase("a", "never"));
    }));
    const auto loaded = store.loaded("a", "new");
    CHECK(contents_of(loaded) == contents_of(state));
    CHECK(loaded.version == saved.version);
    CHECK(loaded.created_at == saved.created_at);
    CHECK(loaded.updated_at == saved.updated_at);
    CHECK_FALSE(store.has("a", "old"));
}

TEST_CASE("a transaction sees what it wrote", "[contract]") {
    store_under_test store;
    store.wait(store->transaction([](transaction& tx) {
        CHECK_FALSE(tx.load("a", "s").has_value());
        auto state = state_with("a", "s", R"({"value": 1})");
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
    }));
    CHECK(store.loaded("a", "s").data.at("value") == 3);
}

TEST_CASE("a transaction gives its function's result", "[contract]") {
    store_under_test store;
    CHECK(store.wait(store->transaction([](transaction&) { return 42; })) == 42);
    const std::string text(100, 'x');
    CHECK(store.wait(store->transaction([](transaction&) { return std::string(100, 'x'); })) == text);
    auto move_only = [value = std::make_unique<int>(7)](transaction&) mutable { return std::move(value); };
    const auto owned = store.wait(store->transaction(std::move(move_only)));
    REQUIRE(owned);
    CHECK(*owned == 7);
    CHECK(store.wait(store->transaction([](transaction&) { return 1; }, as_result)).value() == 1);
}

TEST_CASE("a function that throws rolls everything back", "[contract]") {
    store_under_test store;
    auto state = state_with("a", "s", R"({"value": 1})");
    const auto saved = store.wait(store->save(state));

    const auto failed = store.wait(store->transaction(
        [&](transaction& tx) {
            state.data["value"] = 2;
            tx.save(state);
            tx.erase("a", "s");
            tx.save(agent_state("a", "other"));
            throw std::runtime_error("the function's own reason");
        },
        as_result));
    const auto error = require_failure(failed, errc::callback_failed);
    CHECK(error.operation() == "transaction");
    CHECK(names(error, "the function's own reason"));
    REQUIRE(error.cause());
    CHECK_THROWS_AS(std::rethrow_exception(error.cause()), std::runtime_error);

    const auto loaded = store.loaded("a", "s");
    CHECK(loaded.data.at("value") == 1);
    CHECK(loaded.version == saved.version);
    CHECK_FALSE(store.has("a", "other"));
}

TEST_CASE("what a function throws comes back as itself", "[contract]") {
    store_under_test store;
    // An error of pgstate's own passes through.
    const auto own = store.wait(store->transaction(
        [](transaction&) { throw pgstate::error(errc::not_found, "find", "no such tenant"); }, as_result));
    const auto error = require_failure(own, errc::not_found);
    CHECK(error.operation() == "find");
    CHECK(names(error, "no such tenant"));

    // Also what the transaction's own members throw.
    store.refuses(store->transaction([](transaction& tx) { tx.load("", "s"); }, as_result), "load",
                  "agent_id");

    // Anything else is a failed callback, with the exception inside.
    const auto odd = store.wait(store->transaction([](transaction&) { throw 42; }, as_result));
    const auto wrapped = require_failure(odd, errc::callback_failed);
    REQUIRE(wrapped.cause());
    CHECK_THROWS_AS(std::rethrow_exception(wrapped.cause()), int);
    const auto system = store.wait(store->transaction(
        [](transaction&) {
            throw boost::system::system_error(
                make_error_code(boost::system::errc::no_such_file_or_directory));
        },
        as_result));
    CHECK(require_failure(system, errc::callback_failed).cause());

    // And the store goes on as before.
    CHECK(store.wait(store->transaction([](transaction&) { return 1; })) == 1);
}

TEST_CASE("a conflict within a transaction rolls it back", "[contract]") {
    store_under_test store;
    const auto saved = store.wait(store->save(agent_state("a", "s")));
    const auto failed = store.wait(store->transaction(
        [&](transaction& tx) {
            tx.save(agent_state("a", "other"));
            agent_state stale("a", "s");
            stale.version = saved.version + 1000;
            tx.save(stale, {.if_unchanged = true});
        },
        as_result));
    CHECK(require_failure(failed, errc::conflict).current_version() == saved.version);
    CHECK_FALSE(store.has("a", "other"));

    const auto missing = store.wait(store->transaction(
        [](transaction& tx) {
            agent_state gone("a", "gone");
            gone.version = 1;
            tx.save(gone, {.if_unchanged = true});
        },
        as_result));
    CHECK(require_failure(missing, errc::conflict).current_version() == 0);
}

TEST_CASE("a conflict that the function handles does not end the transaction", "[contract]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    store.wait(store->transaction([](transaction& tx) {
        auto mine = state_with("a", "s", R"({"value": "mine"})");
        try {
            tx.save(mine, {.if_unchanged = true});
            FAIL("a state that exists was created");
        } catch (const pgstate::error& e) {
            mine.version = e.current_version().value();
        }
        tx.save(mine, {.if_unchanged = true});
    }));
    CHECK(store.loaded("a", "s").data.at("value") == "mine");
}

TEST_CASE("a refused state within a transaction rolls it back", "[contract]") {
    store_under_test store;
    const auto failed = store.wait(store->transaction(
        [](transaction& tx) {
            agent_state state("a", "s");
            tx.save(state);
            state.data["bad"] = bad_texts().front();
            tx.save(state);
        },
        as_result));
    CHECK(names(require_failure(failed, errc::invalid_argument), "data"));
    CHECK(store.wait(store->count()) == 0);
}

TEST_CASE("a read-modify-write in transactions loses no update", "[contract]") {
    store_under_test store;
    constexpr int writers = 20;
    successes done;
    pgstate::transaction_options options;
    options.isolation = pgstate::isolation_level::serializable;
    options.max_retries = 1000;
    for (int i = 0; i < writers; ++i)
        store->transaction(
            [](transaction& tx) {
                auto state = tx.load("a", "counter").value_or(agent_state("a", "counter"));
                const auto before = state.data.contains("n") ? state.data.at("n").as_int64() : 0;
                state.data["n"] = before + 1;
                tx.save(state);
            },
            options, done.handler());
    store.run_until([&] { return done.count == writers; });
    CHECK(store.loaded("a", "counter").data.at("n") == writers);
}
