#include "support/stores.hpp"

#include "concurrency/threads.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

constexpr pgstate::save_options if_unchanged{.if_unchanged = true};
constexpr std::size_t writers = 8;

agent_state with_value(const std::string& agent, const std::string& session, std::int64_t value) {
    agent_state state(agent, session);
    state.data["value"] = value;
    return state;
}

void spawn(asio::io_context& context, asio::awaitable<void> coroutine, tally& all) {
    all.started();
    asio::co_spawn(context, std::move(coroutine), all.handler());
}

asio::awaitable<void> save_own_and_shared(pgstate::state_store& store, std::string name, std::int64_t rounds,
                                          std::vector<std::int64_t>& shared, tally& all) {
    std::int64_t last = 0;
    for (std::int64_t i = 1; i <= rounds; ++i) {
        const auto own = with_value("own", name, i);
        const auto saved = co_await store.save(own);
        if (saved.version <= last) all.wrong("the version of " + name + " did not grow");
        last = saved.version;
        const auto loaded = co_await store.load("own", name);
        if (!loaded || loaded->version != saved.version || loaded->data != own.data)
            all.wrong(name + " did not load what it had saved");

        const auto ours = with_value("shared", "one", i);
        const auto saved_shared = co_await store.save(ours);
        shared.push_back(saved_shared.version);
        const auto seen = co_await store.load("shared", "one");
        if (!seen || seen->version < saved_shared.version)
            all.wrong(name + " loaded what was older than its own save");
    }
}

asio::awaitable<void> increment(pgstate::state_store& store, int times, std::atomic<std::int64_t>& successes,
                                tally& all) {
    for (int i = 0; i < times;) {
        auto state = co_await store.load("counter", "one");
        if (!state) {
            all.wrong("the counter is gone");
            co_return;
        }
        state->data["value"] = state->data.at("value").as_int64() + 1;
        const auto saved = co_await store.save(*state, if_unchanged, as_result);
        if (saved.has_value()) {
            ++successes;
            ++i;
        } else if (saved.error() != errc::conflict) {
            all.wrong(saved.error().what());
            co_return;
        }
    }
}

} // namespace

TEST_CASE("coroutines on four threads share a store", "[concurrency]") {
    constexpr std::int64_t rounds = 25;
    store_under_test store;
    std::vector<std::vector<std::int64_t>> shared(writers); // by coroutine
    tally all;
    {
        running threads(store.context(), 4);
        for (std::size_t i = 0; i < writers; ++i)
            spawn(store.context(), save_own_and_shared(*store, std::to_string(i), rounds, shared[i], all),
                  all);
        REQUIRE(all.wait());
    }
    all.check();
    std::set<std::int64_t> distinct;
    for (const auto& versions : shared)
        distinct.insert(versions.begin(), versions.end());
    CHECK(distinct.size() == writers * rounds);
    for (std::size_t i = 0; i < writers; ++i)
        CHECK(store.loaded("own", std::to_string(i)).data.at("value") == rounds);
    CHECK(store.loaded("shared", "one").version == *distinct.rbegin());
}

TEST_CASE("threads that know no event loop start operations at once", "[concurrency]") {
    constexpr std::size_t saves = 200;
    struct saving : outcome {
        std::int64_t version = 0;
    };
    store_under_test store;
    std::deque<saving> savings(writers * saves);
    tally all;
    all.started(savings.size());
    from_threads(store.context(), 2, writers, all, [&](std::size_t who) {
        for (std::size_t i = 0; i < saves; ++i) {
            saving& mine = savings[who * saves + i];
            const auto state = with_value("a", std::to_string(who), static_cast<std::int64_t>(i));
            store->save(state, [&mine, &all](std::exception_ptr failure, pgstate::saved saved) {
                mine.version = saved.version;
                mine.handler(all)(failure);
            });
        }
    });
    CHECK(std::ranges::all_of(savings, [](const outcome& o) { return o.calls == 1 && o.ok; }));
    for (std::size_t who = 0; who < writers; ++who) {
        for (std::size_t i = 1; i < saves; ++i)
            if (savings[who * saves + i].version <= savings[who * saves + i - 1].version)
                FAIL("save " << i << " of key " << who << " overtook the one before");
        const auto loaded = store.loaded("a", std::to_string(who));
        CHECK(loaded.data.at("value") == saves - 1);
        CHECK(loaded.version == savings[who * saves + saves - 1].version);
    }
}

TEST_CASE("no increment is lost between conditional saves", "[concurrency]") {
    constexpr int times = 15;
    store_under_test store;
    store.wait(store->save(with_value("counter", "one", 0), if_unchanged));
    std::atomic<std::int64_t> successes{0};
    tally all;
    {
        running threads(store.context(), 4);
        for (std::size_t i = 0; i < writers; ++i)
            spawn(store.context(), increment(*store, times, successes, all), all);
        REQUIRE(all.wait());
    }
    all.check();
    CHECK(successes == writers * times);
    CHECK(store.loaded("counter", "one").data.at("value") == successes.load());
}

TEST_CASE("operations are cancelled while others run", "[concurrency]") {
    constexpr std::size_t operations = 100;
    store_under_test store;
    std::deque<cancellable> cancelled(writers * operations);
    std::deque<outcome> undisturbed(writers * operations);
    tally all;
    all.started(cancelled.size() + undisturbed.size());
    from_threads(store.context(), 4, writers, all, [&](std::size_t who) {
        const auto strand = asio::make_strand(store.context());
        const auto name = std::to_string(who);
        for (std::size_t i = 0; i < operations; ++i) {
            const auto value = static_cast<std::int64_t>(i);
            const auto start = [&store, name, value](auto token) {
                if (value % 3 == 0)
                    store->load("kept", name, token);
                else
                    store->save(with_value("cancelled", name, value), token);
            };
            const auto at = who * operations + i;
            cancelled[at].start_and_cancel(strand, i % 4 == 0, all, start);
            store->save(with_value("kept", name, value), undisturbed[at].handler(all));
        }
    });
    const auto ended = [](const outcome& o) { return o.calls == 1 && (o.ok || o.aborted); };
    CHECK(std::ranges::all_of(cancelled, ended));
    CHECK(std::ranges::all_of(undisturbed, [](const outcome& o) { return o.calls == 1 && o.ok; }));
    for (std::size_t who = 0; who < writers; ++who)
        CHECK(store.loaded("kept", std::to_string(who)).data.at("value") == operations - 1);
}

TEST_CASE("a store is closed while threads start operations", "[concurrency]") {
    constexpr std::size_t starters_count = 4;
    constexpr int more_after_close = 10;
    struct record : outcome {
        bool after_close = false;
    };
    store_under_test store;
    std::vector<std::deque<record>> records(starters_count);
    std::atomic<bool> closing{false};
    outcome ending;
    tally all;
    tally closes;
    {
        running threads(store.context(), 2);
        at_once starters(starters_count, [&](std::size_t who) {
            std::size_t in_flight_at_most = 0;
            for (int more = 0; more < more_after_close;) {
                const bool after_close = closing;
                if (after_close) ++more;
                record& mine = records[who].emplace_back();
                mine.after_close = after_close;
                const auto name = std::to_string(who) + "/" + std::to_string(records[who].size() % 16);
                all.started();
                store->save(with_value("a", name, 1), mine.handler(all));
                // Lets the store keep up: what matters is the moment of closing, not a long queue.
                if (!after_close && ++in_flight_at_most % 50 == 0) all.wait();
            }
        });
        const bool got_going = all.wait_for(200);
        closes.started();
        store->close(ending.handler(closes));
        closing = true;
        starters.join();
        REQUIRE(got_going);
        REQUIRE(all.wait());
        REQUIRE(closes.wait());
    }
    all.check();
    CHECK(ending.calls == 1);
    CHECK(ending.ok);
    for (const auto& of_one : records)
        for (const auto& each : of_one) {
            CHECK(each.calls == 1);
            CHECK((each.ok || each.closed));
            CHECK((!each.after_close || each.closed));
        }
    // Refused once, refused for good: a thread's own operations are accepted in the order it starts them.
    for (const auto& of_one : records)
        CHECK(std::ranges::is_sorted(of_one, {}, [](const record& r) { return r.closed.load(); }));
}
