#include "concurrency/threads.hpp"
#include "support/stores.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <future>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;

// Catch2's macros belong to the test's own thread: the others count what went wrong.

namespace {

constexpr int caller_count = 8;
constexpr int rounds_each = 200;

/// Calls `call(0)` to `call(caller_count - 1)`, each on a thread of its own; gives how many threw.
template <class Call>
int from_many_threads(Call call) {
    std::atomic<int> failures{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < caller_count; ++i) {
        threads.emplace_back([&, i] {
            try {
                call(i);
            } catch (...) {
                ++failures;
            }
        });
    }
    for (auto& thread : threads)
        thread.join();
    return failures;
}

agent_state with_value(const std::string& session, int value) {
    agent_state state("a", session);
    state.data["value"] = value;
    return state;
}

} // namespace

TEST_CASE("one thread's operations on a key keep their order among other threads'", "[concurrency]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    const running runs(store.context(), 4);
    std::atomic<int> wrong{0};
    const int failures = from_many_threads([&](int caller) {
        const std::string session = "s" + std::to_string(caller);
        std::vector<std::future<pgstate::saved>> saves;
        std::vector<std::future<std::optional<agent_state>>> loads;
        for (int i = 0; i < rounds_each; ++i) { // submitted without waiting
            saves.push_back(store->save(with_value(session, i), asio::use_future));
            loads.push_back(store->load("a", session, asio::use_future));
        }
        std::int64_t last = 0;
        for (int i = 0; i < rounds_each; ++i) {
            const auto at = static_cast<std::size_t>(i);
            const auto version = saves[at].get().version;
            const auto loaded = loads[at].get();
            if (version <= last || !loaded || loaded->data.at("value") != i || loaded->version != version)
                ++wrong;
            last = version;
        }
    });
    CHECK(failures == 0);
    CHECK(wrong == 0);
}

TEST_CASE("threads that share keys never see a version twice or half a state", "[concurrency]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    const running runs(store.context(), 4);
    std::vector<std::vector<std::int64_t>> versions(caller_count);
    std::atomic<int> wrong{0};
    const int failures = from_many_threads([&](int caller) {
        for (int i = 0; i < rounds_each; ++i) {
            agent_state state = with_value("shared", caller);
            state.context["value"] = caller;
            state.history.emplace_back("user", std::to_string(caller));
            versions[static_cast<std::size_t>(caller)].push_back(
                store->save(state, asio::use_future).get().version);
            const auto loaded = store->load("a", "shared", asio::use_future).get();
            if (!loaded || loaded->data.at("value") != loaded->context.at("value") ||
                std::to_string(loaded->data.at("value").as_int64()) != loaded->history.at(0).content)
                ++wrong;
        }
    });
    CHECK(failures == 0);
    CHECK(wrong == 0);
    std::set<std::int64_t> all;
    for (const auto& of_one : versions)
        all.insert(of_one.begin(), of_one.end());
    CHECK(all.size() == static_cast<std::size_t>(caller_count) * rounds_each);
    const auto loaded = store->load("a", "shared", asio::use_future).get();
    REQUIRE(loaded.has_value());
    CHECK(loaded->version == *all.rbegin());
}

TEST_CASE("transactions from many threads lose no update", "[concurrency]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    const running runs(store.context(), 4);
    constexpr int increments = 10;
    const int failures = from_many_threads([&](int) {
        pgstate::transaction_options options;
        options.isolation = pgstate::isolation_level::serializable;
        options.max_retries = 10'000;
        for (int i = 0; i < increments; ++i) {
            store
                ->transaction(
                    [](pgstate::transaction& tx) {
                        auto state = tx.load("a", "counter").value_or(agent_state("a", "counter"));
                        state.data["n"] = (state.data.contains("n") ? state.data.at("n").as_int64() : 0) + 1;
                        tx.save(state);
                    },
                    options, asio::use_future)
                .get();
        }
    });
    CHECK(failures == 0);
    const auto loaded = store->load("a", "counter", asio::use_future).get();
    REQUIRE(loaded.has_value());
    CHECK(loaded->data.at("n") == caller_count * increments);
}

TEST_CASE("every kind of operation at once from many threads", "[concurrency]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    const running runs(store.context(), 4);
    const int failures = from_many_threads([&](int caller) {
        for (int i = 0; i < rounds_each / 4; ++i) {
            const std::string session = "s" + std::to_string((caller + i) % 5);
            auto save = store->save(with_value(session, i), asio::use_future);
            auto load = store->load("a", session, asio::use_future);
            auto list = store->list("a", asio::use_future);
            auto erase = store->erase("a", session, asio::use_future);
            auto count = store->count(asio::use_future);
            auto health = store->health_check(asio::use_future);
            save.get();
            load.get();
            list.get();
            erase.get();
            count.get();
            health.get();
        }
    });
    CHECK(failures == 0);
}

TEST_CASE("handlers of a strand never run at the same time", "[concurrency]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    auto strand = asio::make_strand(store.context());
    std::promise<void> all_done;
    std::atomic<int> inside{0};
    std::atomic<int> overlaps{0};
    int done = 0; // on the strand only
    const running runs(store.context(), 4);
    const int failures = from_many_threads([&](int caller) {
        for (int i = 0; i < rounds_each; ++i) {
            store->save(with_value("s" + std::to_string(caller), i),
                        asio::bind_executor(strand, [&](std::exception_ptr, pgstate::saved) {
                            if (++inside != 1 || !strand.running_in_this_thread()) ++overlaps;
                            --inside;
                            if (++done == caller_count * rounds_each) all_done.set_value();
                        }));
        }
    });
    CHECK(failures == 0);
    REQUIRE(all_done.get_future().wait_for(patience) == std::future_status::ready);
    CHECK(overlaps == 0);
}
