#include "support/checks.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

constexpr pgstate::save_options for_an_hour{.ttl = 1h};
constexpr pgstate::save_options only_if_unchanged{.if_unchanged = true};

} // namespace

TEST_CASE("a save with a ttl says when the state expires, and so does a load", "[contract][expiry]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        const auto saved = co_await store->save(state, for_an_hour);
        CHECK(saved.expires_at == saved.updated_at + 1h);
        auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->expires_at == saved.expires_at);

        // A conditional one as well.
        const pgstate::save_options longer{.if_unchanged = true, .ttl = 2h};
        const auto again = co_await store->save(*loaded, longer);
        CHECK(again.expires_at == again.updated_at + 2h);

        // And one without ends the expiry.
        loaded->version = again.version;
        const auto kept = co_await store->save(*loaded, only_if_unchanged);
        CHECK(kept.expires_at == std::nullopt);
        loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->expires_at == std::nullopt);

        co_await store->save(state, for_an_hour);
        const auto blind = co_await store->save(state);
        CHECK(blind.expires_at == std::nullopt);
        loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->expires_at == std::nullopt);
    });
}

TEST_CASE("saves with and without a ttl may go together", "[contract][expiry]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    constexpr int states = 60;
    int done = 0;
    for (int i = 0; i < states; ++i) {
        pgstate::save_options options;
        if (i % 3 != 0) options.ttl = std::chrono::hours(i);
        store->save(agent_state("a", std::to_string(i)), options,
                    as_result([&, i](pgstate::result<pgstate::saved> result) {
                        ++done;
                        REQUIRE(result.has_value());
                        if (i % 3 == 0)
                            CHECK(result->expires_at == std::nullopt);
                        else
                            CHECK(result->expires_at == result->updated_at + std::chrono::hours(i));
                    }));
    }
    store.run_until([&] { return done == states; });
    store.run([&]() -> asio::awaitable<void> {
        for (int i = 0; i < states; ++i) {
            const auto loaded = co_await store->load("a", std::to_string(i));
            REQUIRE(loaded.has_value());
            CHECK(loaded->expires_at.has_value() == (i % 3 != 0));
        }
    });
}

TEST_CASE("a state that has expired is gone for everything at once", "[contract][expiry]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        const auto old = co_await store->save(state, for_an_hour);
        co_await store->save(agent_state("a", "other"));
        store.let_pass(2h);

        const auto page = co_await store->list("a");
        REQUIRE(page.size() == 1);
        CHECK(page.sessions.front().session_id == "other");
        const auto of_agent = co_await store->count("a");
        CHECK(of_agent == 1);
        const auto of_all = co_await store->count();
        CHECK(of_all == 1);
        const auto erased = co_await store->erase("a", "s");
        CHECK_FALSE(erased);
        const auto touched = co_await store->touch("a", "s", 1h, as_result);
        CHECK(require_failure(touched, errc::not_found).operation() == "touch");
        state.version = old.version;
        const auto late = co_await store->save(state, only_if_unchanged, as_result);
        CHECK(require_failure(late, errc::conflict).current_version() == 0);
        const auto appended = co_await store->append("a", "s", {}, as_result);
        require_failure(appended, errc::not_found);
    });
}

TEST_CASE("a state that has expired may be made anew, and a stale writer notices", "[contract][expiry]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        state.data["value"] = "old";
        const auto old = co_await store->save(state, for_an_hour);
        store.let_pass(2h);

        agent_state fresh("a", "s");
        fresh.data["value"] = "new";
        const auto made = co_await store->save(fresh, only_if_unchanged);
        CHECK(made.version > old.version);
        CHECK(made.created_at > old.created_at);
        const auto twice = co_await store->save(fresh, only_if_unchanged, as_result);
        CHECK(require_failure(twice, errc::conflict).current_version() == made.version);
        state.version = old.version;
        const auto stale = co_await store->save(state, only_if_unchanged, as_result);
        CHECK(require_failure(stale, errc::conflict).current_version() == made.version);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("value") == "new");
        CHECK(loaded->created_at == made.created_at);
        CHECK(loaded->expires_at == std::nullopt);

        // A save that asks nothing makes it anew as well: nothing of the old one is left.
        co_await store->touch("a", "s", 1h);
        store.let_pass(2h);
        const auto blind = co_await store->save(fresh, for_an_hour);
        CHECK(blind.created_at > made.created_at);
        CHECK(blind.expires_at == blind.updated_at + 1h);
    });
}

TEST_CASE("of many creators over an expired state one wins", "[contract][expiry]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        co_await store->save(agent_state("a", "s"), for_an_hour);
        store.let_pass(2h);
    });
    constexpr int creators = 50;
    int won = 0;
    int lost = 0;
    for (int i = 0; i < creators; ++i)
        store->save(agent_state("a", "s"), only_if_unchanged,
                    as_result([&](pgstate::result<pgstate::saved> result) {
                        ++(result ? won : lost);
                        if (!result) CHECK(result.error() == errc::conflict);
                    }));
    store.run_until([&] { return won + lost == creators; });
    CHECK(won == 1);
}

TEST_CASE("touch changes the expiry and nothing else", "[contract][expiry]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        state.data["value"] = 1;
        const auto saved = co_await store->save(state);
        const auto touched = co_await store->touch("a", "s", 1h);
        CHECK(touched.version == saved.version);
        CHECK(touched.created_at == saved.created_at);
        CHECK(touched.updated_at == saved.updated_at);
        REQUIRE(touched.expires_at.has_value());
        CHECK(*touched.expires_at >= saved.updated_at + 1h);
        CHECK(*touched.expires_at < saved.updated_at + 2h);
        auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data == state.data);
        CHECK(loaded->expires_at == touched.expires_at);

        // What was loaded before it may still be saved.
        loaded->data["value"] = 2;
        co_await store->save(*loaded, only_if_unchanged);
        co_await store->touch("a", "s", 1h);
        const auto kept = co_await store->touch("a", "s", std::nullopt);
        CHECK(kept.expires_at == std::nullopt);

        const auto missing = co_await store->touch("a", "missing", 1h, as_result);
        CHECK(require_failure(missing, errc::not_found).operation() == "touch");
    });
}

TEST_CASE("a ttl that cannot be is refused", "[contract][expiry]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        co_await store->save(state);
        for (const auto ttl : {0ms, -1ms, std::chrono::milliseconds(pgstate::max_ttl + 1ms),
                               std::chrono::milliseconds::max(), std::chrono::milliseconds::min()}) {
            CAPTURE(ttl.count());
            const pgstate::save_options save{.ttl = ttl};
            const auto saved = co_await store->save(state, save, as_result);
            CHECK(std::string(require_failure(saved, errc::invalid_argument).what()).find("ttl is") !=
                  std::string::npos);
            const auto touched = co_await store->touch("a", "s", ttl, as_result);
            require_failure(touched, errc::invalid_argument);
            pgstate::change_options change;
            change.ttl = ttl;
            const auto appended = co_await store->append("a", "s", {}, change, as_result);
            require_failure(appended, errc::invalid_argument);
        }
        const pgstate::save_options longest{.ttl = pgstate::max_ttl};
        const auto saved = co_await store->save(state, longest);
        CHECK(saved.expires_at == saved.updated_at + pgstate::max_ttl);
    });
}

TEST_CASE("update and save_all take a ttl", "[contract][expiry][update][bulk]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        pgstate::update_options updating;
        updating.create = true;
        updating.ttl = 1h;
        const auto set = [](agent_state& state) { state.data["value"] = 1; };
        const auto updated = co_await store->update("a", "s", set, updating);
        CHECK(updated.expires_at == updated.updated_at + 1h);
        const auto ended = co_await store->update("a", "s", set);
        CHECK(ended.expires_at == std::nullopt);
        updating.ttl = 0ms;
        const auto refused = co_await store->update("a", "s", set, updating, as_result);
        require_failure(refused, errc::invalid_argument);

        const std::vector<agent_state> states{agent_state("a", "1"), agent_state("a", "2")};
        for (const bool atomic : {false, true}) {
            CAPTURE(atomic);
            pgstate::save_all_options saving;
            saving.atomic = atomic;
            saving.ttl = 2h;
            const auto saved = co_await store->save_all(states, saving);
            REQUIRE(saved.size() == 2);
            for (const auto& each : saved) {
                REQUIRE(each.has_value());
                CHECK(each->expires_at == each->updated_at + 2h);
            }
            saving.ttl = -1ms;
            const auto wrong = co_await store->save_all(states, saving, as_result);
            require_failure(wrong, errc::invalid_argument);
        }
    });
}

TEST_CASE("the default ttl is for what is saved or made without one", "[contract][expiry]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind, 3h);
    store.run([&]() -> asio::awaitable<void> {
        const auto saved = co_await store->save(agent_state("a", "saved"));
        CHECK(saved.expires_at == saved.updated_at + 3h);
        const auto own = co_await store->save(agent_state("a", "own"), for_an_hour);
        CHECK(own.expires_at == own.updated_at + 1h);
        pgstate::change_options creating;
        creating.create = true;
        const auto made = co_await store->increment("a", "made", "/data/n", 1, creating);
        CHECK(made.expires_at == made.updated_at + 3h);
        const auto kept = co_await store->increment("a", "own", "/data/n", 1, creating);
        CHECK(kept.expires_at == own.expires_at);
        co_await store->transaction([](pgstate::transaction& tx) {
            const auto within = tx.save(agent_state("a", "within"));
            CHECK(within.expires_at == within.updated_at + 3h);
        });
        store.let_pass(2h);
        const auto two_hours_later = co_await store->count("a");
        CHECK(two_hours_later == 3);
        store.let_pass(2h);
        const auto in_the_end = co_await store->count("a");
        CHECK(in_the_end == 0);
    });
}

TEST_CASE("in a transaction states expire as they do outside", "[contract][expiry]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        pgstate::saved first;
        co_await store->transaction([&](pgstate::transaction& tx) {
            first = tx.save(state, for_an_hour);
            CHECK(first.expires_at == first.updated_at + 1h);
            const auto loaded = tx.load("a", "s");
            REQUIRE(loaded.has_value());
            CHECK(loaded->expires_at == first.expires_at);
            CHECK_THROWS_AS(tx.save(state, {.ttl = 0ms}), pgstate::error);
        });
        store.let_pass(2h);
        co_await store->transaction([&](pgstate::transaction& tx) {
            CHECK_FALSE(tx.load("a", "s").has_value());
            CHECK_FALSE(tx.erase("a", "s"));
            agent_state stale = state;
            stale.version = first.version;
            CHECK_THROWS_AS(tx.save(stale, only_if_unchanged), pgstate::error);
            const auto made = tx.save(state, only_if_unchanged);
            CHECK(made.version > first.version);
            CHECK(made.expires_at == std::nullopt);
        });
        co_await check_exists(*store, "a", "s");
    });
}
