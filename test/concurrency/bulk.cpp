#include "concurrency/threads.hpp"
#include "support/stores.hpp"

#include <boost/asio/strand.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <string>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;

namespace {

constexpr std::size_t bulk_callers = 8;
constexpr std::size_t bulk_size = 50;
constexpr pgstate::update_options persistent{.max_retries = 1000, .create = true};

std::vector<agent_state> states_of(std::size_t who, std::size_t count) {
    std::vector<agent_state> made;
    for (std::size_t i = 0; i < count; ++i)
        made.emplace_back("a" + std::to_string(who), std::to_string(i));
    return made;
}

std::vector<pgstate::state_key> keys_of_states(const std::vector<agent_state>& states) {
    std::vector<pgstate::state_key> keys;
    for (const auto& each : states)
        keys.emplace_back(each.agent_id, each.session_id);
    return keys;
}

} // namespace

TEST_CASE("bulks are started and completed on several threads", "[concurrency][bulk]") {
    constexpr std::size_t rounds = 5;
    store_under_test store;
    tally all;
    all.started(2 * bulk_callers * rounds);
    from_threads(store.context(), 4, bulk_callers, all, [&](std::size_t who) {
        const auto states = states_of(who, bulk_size);
        const auto keys = keys_of_states(states);
        for (std::size_t i = 0; i < rounds; ++i) {
            const pgstate::save_all_options options{.atomic = i % 2 == 1};
            store->save_all(states, options, [&all](std::exception_ptr failure, const auto& saved) {
                if (saved.size() != bulk_size) all.wrong("not all results are there");
                for (const auto& each : saved)
                    if (!each) all.wrong(each.error().what());
                all.handler()(failure);
            });
            store->load_all(keys, [&all](std::exception_ptr failure, const auto& loaded) {
                if (loaded.size() != bulk_size) all.wrong("not all states are there");
                all.handler()(failure);
            });
        }
    });
    std::int64_t erased = 0;
    for (std::size_t who = 0; who < bulk_callers; ++who)
        erased += store.wait(store->erase_all(keys_of_states(states_of(who, bulk_size))));
    CHECK(erased == bulk_callers * bulk_size);
}

TEST_CASE("bulks and updates are cancelled while they run on several threads", "[concurrency][bulk]") {
    constexpr std::size_t rounds = 20;
    store_under_test store;
    std::deque<cancellable> cancelled(bulk_callers * rounds);
    tally all;
    all.started(cancelled.size());
    from_threads(store.context(), 4, bulk_callers, all, [&](std::size_t who) {
        const auto strand = asio::make_strand(store.context());
        const auto states = states_of(who, 20);
        const auto keys = keys_of_states(states);
        for (std::size_t i = 0; i < rounds; ++i) {
            const auto start = [&store, states, keys, i](auto token) {
                if (i % 5 < 2)
                    store->save_all(states, pgstate::save_all_options{.atomic = i % 5 == 0}, token);
                else if (i % 5 == 2)
                    store->load_all(keys, token);
                else if (i % 5 == 3)
                    store->erase_all(keys, token);
                else
                    store->update(
                        "shared", "one", [](agent_state& s) { s.data["n"] = 1; }, persistent, token);
            };
            cancelled[who * rounds + i].start_and_cancel(strand, i % 4 == 0, all, start);
        }
    });
    for (const auto& each : cancelled) {
        CHECK(each.calls == 1);
        CHECK_FALSE(each.closed);
    }
}

TEST_CASE("updates from several threads lose nothing", "[concurrency][update]") {
    constexpr std::size_t rounds = 5;
    store_under_test store;
    tally all;
    all.started(bulk_callers * rounds);
    const auto add_one = [](agent_state& state) {
        const auto before = state.data.contains("n") ? state.data.at("n").as_int64() : 0;
        state.data["n"] = before + 1;
    };
    from_threads(store.context(), 4, bulk_callers, all, [&](std::size_t) {
        for (std::size_t i = 0; i < rounds; ++i)
            store->update("a", "counter", add_one, persistent, all.handler());
    });
    CHECK(store.loaded("a", "counter").data.at("n") == bulk_callers * rounds);
}
