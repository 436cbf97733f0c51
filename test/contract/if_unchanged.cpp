#include "support/checks.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <exception>
#include <optional>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {
constexpr pgstate::save_options if_unchanged{.if_unchanged = true};
} // namespace

TEST_CASE("if_unchanged at version 0 creates, and only once", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        state.data["value"] = 1;
        const auto made = co_await store->save(state, if_unchanged);
        CHECK(made.version > 0);

        state.data["value"] = 2;
        const auto second = co_await store->save(state, if_unchanged, as_result);
        const auto error = require_failure(second, errc::conflict);
        CHECK(error.current_version() == made.version);
        CHECK(error.operation() == "save");
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("value") == 1);
        CHECK(loaded->version == made.version);
    });
}

TEST_CASE("if_unchanged saves over the version that was loaded", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        const auto made = co_await store->save(state);
        auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        loaded->data["value"] = 1;
        const auto saved = co_await store->save(*loaded, if_unchanged);
        CHECK(saved.version > made.version);
        CHECK(saved.created_at == made.created_at);
        const auto again = co_await store->load("a", "s");
        REQUIRE(again.has_value());
        CHECK(again->version == saved.version);
        CHECK(again->data.at("value") == 1);
    });
}

TEST_CASE("if_unchanged refuses a stale writer and changes nothing", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        co_await store->save(state);
        auto first = co_await store->load("a", "s");
        auto second = co_await store->load("a", "s");
        REQUIRE((first && second));
        first->data["writer"] = "first";
        const auto won = co_await store->save(*first, if_unchanged);
        second->data["writer"] = "second";
        const auto lost = co_await store->save(*second, if_unchanged, as_result);
        CHECK(require_failure(lost, errc::conflict).current_version() == won.version);
        const auto kept = co_await store->load("a", "s");
        REQUIRE(kept.has_value());
        CHECK(kept->data.at("writer") == "first");
        CHECK(kept->version == won.version);
        CHECK(kept->updated_at == won.updated_at);

        // Who takes the version from the error, having looked, may go on.
        second->version = *lost.error().current_version();
        const auto settled = co_await store->save(*second, if_unchanged);
        CHECK(settled.version > won.version);
    });
}

TEST_CASE("a save of the same contents still makes a new version", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        const pgstate::saved first = co_await store->save(state);
        state.version = first.version;
        const pgstate::saved second = co_await store->save(state, if_unchanged);
        CHECK(second.version > first.version);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->version == second.version);
    });
}

TEST_CASE("if_unchanged never brings an erased state back", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        co_await store->save(state);
        auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        co_await store->erase("a", "s");
        const auto late = co_await store->save(*loaded, if_unchanged, as_result);
        CHECK(require_failure(late, errc::conflict).current_version() == 0);
        co_await check_missing(*store, "a", "s");

        // Nor over one that was made anew since.
        const auto made = co_await store->save(state);
        const auto later = co_await store->save(*loaded, if_unchanged, as_result);
        CHECK(require_failure(later, errc::conflict).current_version() == made.version);
    });
}

TEST_CASE("a version that never was is a conflict", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        const auto made = co_await store->save(state);
        for (const std::int64_t version :
             {std::int64_t{-1}, made.version - 1, made.version + 1, INT64_MAX, INT64_MIN}) {
            state.version = version;
            const auto result = co_await store->save(state, if_unchanged, as_result);
            CHECK(require_failure(result, errc::conflict).current_version() == made.version);
        }
    });
}

TEST_CASE("of many creators at once one wins", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    constexpr int creators = 100;
    std::vector<std::int64_t> seen_by_losers;
    std::optional<std::int64_t> winner;
    int winners = 0;
    int done = 0;
    for (int i = 0; i < creators; ++i) {
        agent_state state("a", "s");
        state.data["creator"] = i;
        store->save(state, if_unchanged, as_result([&](pgstate::result<pgstate::saved> result) {
                        ++done;
                        if (result) {
                            ++winners;
                            winner = result->version;
                        } else {
                            INFO(result.error().what());
                            CHECK(result.error() == errc::conflict);
                            seen_by_losers.push_back(result.error().current_version().value_or(-1));
                        }
                    }));
    }
    store.run_until([&] { return done == creators; });
    CHECK(winners == 1);
    for (const auto seen : seen_by_losers)
        CHECK(seen == winner);
    store.run([&]() -> asio::awaitable<void> {
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->version == winner);
    });
}

TEST_CASE("of many writers over one version one wins", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    constexpr int writers = 50;
    agent_state base("a", "s");
    base.version = store.run([&]() -> asio::awaitable<std::int64_t> {
        const pgstate::saved done = co_await store->save(base);
        co_return done.version;
    });
    int won = 0;
    int lost = 0;
    for (int i = 0; i < writers; ++i) {
        base.data["writer"] = i;
        store->save(base, if_unchanged, as_result([&](pgstate::result<pgstate::saved> result) {
                        ++(result ? won : lost);
                        if (!result) CHECK(result.error() == errc::conflict);
                    }));
    }
    store.run_until([&] { return won + lost == writers; });
    CHECK(won == 1);
}
