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
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;

namespace {

constexpr std::size_t caller_count = 8;
constexpr int rounds_each = 200;

agent_state with_value(const std::string& session, int value) {
    agent_state state("a", session);
    state.data["value"] = value;
    return state;
}

} // namespace

TEST_CASE("one thread's operations on a key keep their order among other threads'", "[concurrency]") {
    store_under_test store;
    tally all;
    from_threads(store.context(), 4, caller_count, all, [&](std::size_t caller) {
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
                all.wrong("save or load " + std::to_string(i) + " of " + session + " overtook another");
            last = version;
        }
    });
}

TEST_CASE("threads that share keys never see a version twice or half a state", "[concurrency]") {
    store_under_test store;
    std::vector<std::vector<std::int64_t>> versions(caller_count);
    tally all;
    from_threads(store.context(), 4, caller_count, all, [&](std::size_t caller) {
        for (int i = 0; i < rounds_each; ++i) {
            agent_state state = with_value("shared", static_cast<int>(caller));
            state.context["value"] = caller;
            state.history.emplace_back("user", std::to_string(caller));
            versions[caller].push_back(store->save(state, asio::use_future).get().version);
            const auto loaded = store->load("a", "shared", asio::use_future).get();
            if (!loaded || loaded->data.at("value") != loaded->context.at("value") ||
                std::to_string(loaded->data.at("value").as_int64()) != loaded->history.at(0).content)
                all.wrong("the shared state was mixed");
        }
    });
    std::set<std::int64_t> distinct;
    for (const auto& of_one : versions)
        distinct.insert(of_one.begin(), of_one.end());
    CHECK(distinct.size() == caller_count * rounds_each);
    CHECK(store.loaded("a", "shared").version == *distinct.rbegin());
}

TEST_CASE("transactions from many threads lose no update", "[concurrency]") {
    constexpr int increments = 10;
    store_under_test store;
    tally all;
    const pgstate::transaction_options options{.isolation = pgstate::isolation_level::serializable,
                                               .max_retries = 10'000};
    const auto add_one = [](pgstate::transaction& tx) {
        auto state = tx.load("a", "counter").value_or(agent_state("a", "counter"));
        state.data["n"] = (state.data.contains("n") ? state.data.at("n").as_int64() : 0) + 1;
        tx.save(state);
    };
    from_threads(store.context(), 4, caller_count, all, [&](std::size_t) {
        for (int i = 0; i < increments; ++i)
            store->transaction(add_one, options, asio::use_future).get();
    });
    CHECK(store.loaded("a", "counter").data.at("n") == caller_count * increments);
}

TEST_CASE("every kind of operation at once from many threads", "[concurrency]") {
    store_under_test store;
    tally all;
    const auto get_all = [](auto&... futures) { (futures.get(), ...); };
    from_threads(store.context(), 4, caller_count, all, [&](std::size_t caller) {
        for (std::size_t i = 0; i < rounds_each / 4; ++i) {
            const std::string session = "s" + std::to_string((caller + i) % 5);
            auto save = store->save(with_value(session, static_cast<int>(i)), asio::use_future);
            auto load = store->load("a", session, asio::use_future);
            auto list = store->list("a", asio::use_future);
            auto erase = store->erase("a", session, asio::use_future);
            auto count = store->count(asio::use_future);
            auto health = store->health_check(asio::use_future);
            get_all(save, load, list, erase, count, health);
        }
    });
}

TEST_CASE("handlers of a strand never run at the same time", "[concurrency]") {
    store_under_test store;
    auto strand = asio::make_strand(store.context());
    std::atomic<int> inside{0};
    tally all;
    all.started(caller_count * rounds_each);
    from_threads(store.context(), 4, caller_count, all, [&](std::size_t caller) {
        for (int i = 0; i < rounds_each; ++i)
            store->save(with_value("s" + std::to_string(caller), i),
                        asio::bind_executor(strand, [&](std::exception_ptr, pgstate::saved) {
                            if (++inside != 1 || !strand.running_in_this_thread())
                                all.wrong("two handlers ran, or one elsewhere");
                            --inside;
                            all.done();
                        }));
    });
}
