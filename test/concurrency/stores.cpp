#include "support/stores.hpp"

#include "concurrency/threads.hpp"
#include "pgstate/memory_store.hpp"
#include "pgstate/postgres_store.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
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

/// How an operation ended, and how often its handler was called.
struct outcome {
    std::atomic<int> calls{0};
    std::atomic<bool> ok{false};
    std::atomic<bool> aborted{false};
    std::atomic<bool> closed{false};
    std::atomic<std::int64_t> version{0};

    void set(const std::exception_ptr& failure, tally& all) {
        ++calls;
        if (!failure) {
            ok = true;
            return;
        }
        try {
            std::rethrow_exception(failure);
        } catch (const pgstate::error& e) {
            aborted = e.code() == asio::error::operation_aborted;
            closed = e == errc::closed;
            if (!aborted && !closed) all.wrong(std::string(e.what()));
        } catch (const std::exception& e) {
            all.wrong(std::string("not a pgstate::error: ") + e.what());
        }
    }
};

/// Versions that all the savers of one key were given.
class version_list {
public:
    void add(std::int64_t version) {
        const std::lock_guard lock(mutex_);
        all_.push_back(version);
    }
    std::vector<std::int64_t> all() const {
        const std::lock_guard lock(mutex_);
        return all_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::int64_t> all_;
};

void spawn(asio::io_context& context, asio::awaitable<void> coroutine, tally& all) {
    all.started();
    asio::co_spawn(context, std::move(coroutine), [&all](std::exception_ptr failure) {
        if (failure) all.wrong(failure);
        all.done();
    });
}

asio::awaitable<void> save_own_and_shared(pgstate::state_store& store, std::string name, std::int64_t rounds,
                                          version_list& shared, tally& all) {
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
        shared.add(saved_shared.version);
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
            all.wrong(std::string("the counter is gone"));
            co_return;
        }
        state->data["value"] = state->data.at("value").as_int64() + 1;
        const auto saved = co_await store.save(*state, if_unchanged, as_result);
        if (saved.has_value()) {
            ++successes;
            ++i;
        } else if (saved.error() != errc::conflict) {
            all.wrong(std::string(saved.error().what()));
            co_return;
        }
    }
}

} // namespace

TEST_CASE("coroutines on four threads share a store", "[concurrency]") {
    constexpr std::int64_t rounds = 25;
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    version_list shared;
    tally all;
    {
        running threads(store.context(), 4);
        for (std::size_t i = 0; i < writers; ++i)
            spawn(store.context(), save_own_and_shared(*store, std::to_string(i), rounds, shared, all), all);
        REQUIRE(all.wait());
    }
    CHECK(all.wrongs() == std::vector<std::string>());
    const auto versions = shared.all();
    CHECK(versions.size() == writers * rounds);
    CHECK(std::set<std::int64_t>(versions.begin(), versions.end()).size() == versions.size());

    store.run([&]() -> asio::awaitable<void> {
        for (std::size_t i = 0; i < writers; ++i) {
            const auto name = std::to_string(i);
            const auto own = co_await store->load("own", name);
            REQUIRE(own.has_value());
            CHECK(own->data.at("value") == rounds);
        }
        const auto last = co_await store->load("shared", "one");
        REQUIRE(last.has_value());
        CHECK(last->version == *std::max_element(versions.begin(), versions.end()));
    });
}

TEST_CASE("threads that know no event loop start operations at once", "[concurrency]") {
    constexpr std::size_t saves = 200;
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    std::deque<outcome> outcomes(writers * saves);
    tally all;
    all.started(outcomes.size());
    {
        running threads(store.context(), 2);
        at_once starters(writers, [&](std::size_t who) {
            for (std::size_t i = 0; i < saves; ++i) {
                outcome& mine = outcomes[who * saves + i];
                const auto state = with_value("a", std::to_string(who), static_cast<std::int64_t>(i));
                store->save(state, [&mine, &all](std::exception_ptr failure, pgstate::saved saved) {
                    mine.set(failure, all);
                    mine.version = saved.version;
                    all.done();
                });
            }
        });
        starters.join();
        REQUIRE(all.wait());
    }
    CHECK(all.wrongs() == std::vector<std::string>());
    CHECK(
        std::all_of(outcomes.begin(), outcomes.end(), [](const outcome& o) { return o.calls == 1 && o.ok; }));
    for (std::size_t who = 0; who < writers; ++who)
        for (std::size_t i = 1; i < saves; ++i)
            if (outcomes[who * saves + i].version <= outcomes[who * saves + i - 1].version)
                FAIL("save " << i << " of key " << who << " overtook the one before");
    store.run([&]() -> asio::awaitable<void> {
        for (std::size_t who = 0; who < writers; ++who) {
            const auto name = std::to_string(who);
            const auto loaded = co_await store->load("a", name);
            REQUIRE(loaded.has_value());
            CHECK(loaded->data.at("value") == saves - 1);
            CHECK(loaded->version == outcomes[who * saves + saves - 1].version);
        }
    });
}

TEST_CASE("no increment is lost between conditional saves", "[concurrency]") {
    constexpr int times = 15;
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const auto zero = with_value("counter", "one", 0);
        co_await store->save(zero, if_unchanged);
    });
    std::atomic<std::int64_t> successes{0};
    tally all;
    {
        running threads(store.context(), 4);
        for (std::size_t i = 0; i < writers; ++i)
            spawn(store.context(), increment(*store, times, successes, all), all);
        REQUIRE(all.wait());
    }
    CHECK(all.wrongs() == std::vector<std::string>());
    CHECK(successes == writers * times);
    store.run([&]() -> asio::awaitable<void> {
        const auto counter = co_await store->load("counter", "one");
        REQUIRE(counter.has_value());
        CHECK(counter->data.at("value") == successes.load());
    });
}

TEST_CASE("operations are cancelled while others run", "[concurrency]") {
    constexpr std::size_t operations = 100;
    struct cancellable : outcome {
        asio::cancellation_signal signal;
    };
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    std::deque<cancellable> cancelled(writers * operations);
    std::deque<outcome> undisturbed(writers * operations);
    tally all;
    all.started(cancelled.size() + undisturbed.size());
    {
        running threads(store.context(), 4);
        at_once starters(writers, [&](std::size_t who) {
            auto strand = asio::make_strand(store.context());
            const auto name = std::to_string(who);
            for (std::size_t i = 0; i < operations; ++i) {
                cancellable& mine = cancelled[who * operations + i];
                const auto start = [&store, &mine, &all, strand, name, i] {
                    const auto handler = [&mine, &all](std::exception_ptr failure, auto&&) {
                        mine.set(failure, all);
                        all.done();
                    };
                    auto token = asio::bind_cancellation_slot(mine.signal.slot(),
                                                              asio::bind_executor(strand, handler));
                    if (i % 3 == 0)
                        store->load("kept", name, token);
                    else
                        store->save(with_value("cancelled", name, static_cast<std::int64_t>(i)), token);
                    const auto cancel = [&mine] { mine.signal.emit(asio::cancellation_type::terminal); };
                    if (i % 4 == 0)
                        cancel();
                    else
                        asio::post(strand, cancel);
                };
                asio::post(strand, start);

                outcome& other = undisturbed[who * operations + i];
                store->save(with_value("kept", name, static_cast<std::int64_t>(i)),
                            [&other, &all](std::exception_ptr failure, pgstate::saved) {
                                other.set(failure, all);
                                all.done();
                            });
            }
        });
        starters.join();
        REQUIRE(all.wait());
    }
    CHECK(all.wrongs() == std::vector<std::string>());
    CHECK(std::all_of(cancelled.begin(), cancelled.end(),
                      [](const outcome& o) { return o.calls == 1 && (o.ok || o.aborted); }));
    CHECK(std::all_of(undisturbed.begin(), undisturbed.end(),
                      [](const outcome& o) { return o.calls == 1 && o.ok; }));
    store.run([&]() -> asio::awaitable<void> {
        for (std::size_t who = 0; who < writers; ++who) {
            const auto name = std::to_string(who);
            const auto kept = co_await store->load("kept", name);
            REQUIRE(kept.has_value());
            CHECK(kept->data.at("value") == operations - 1);
        }
    });
}

TEST_CASE("a store is closed while threads start operations", "[concurrency]") {
    constexpr std::size_t starters_count = 4;
    constexpr int more_after_close = 10;
    struct record : outcome {
        bool after_close = false;
    };
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    std::vector<std::deque<record>> records(starters_count);
    std::atomic<bool> closing{false};
    std::atomic<int> closed_calls{0};
    std::atomic<bool> close_failed{false};
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
                store->save(with_value("a", name, 1),
                            [&mine, &all](std::exception_ptr failure, pgstate::saved) {
                                mine.set(failure, all);
                                all.done();
                            });
                // Lets the store keep up: what matters is the moment of closing, not a long queue.
                if (!after_close && ++in_flight_at_most % 50 == 0) all.wait();
            }
        });
        const bool got_going = all.wait_for(200);
        closes.started();
        store->close([&](std::exception_ptr failure) {
            ++closed_calls;
            close_failed = failure != nullptr;
            closes.done();
        });
        closing = true;
        starters.join();
        REQUIRE(got_going);
        REQUIRE(all.wait());
        REQUIRE(closes.wait());
    }
    CHECK(all.wrongs() == std::vector<std::string>());
    CHECK(closed_calls == 1);
    CHECK_FALSE(close_failed);
    for (const auto& of_one : records) {
        CHECK(std::all_of(of_one.begin(), of_one.end(),
                          [](const record& r) { return r.calls == 1 && (r.ok || r.closed); }));
        CHECK(std::all_of(of_one.begin(), of_one.end(),
                          [](const record& r) { return !r.after_close || r.closed; }));
        // Refused once, refused for good: a thread's own operations are accepted in the order it starts them.
        const auto refused =
            std::find_if(of_one.begin(), of_one.end(), [](const record& r) { return r.closed.load(); });
        CHECK(std::all_of(refused, of_one.end(), [](const record& r) { return r.closed.load(); }));
    }
}
