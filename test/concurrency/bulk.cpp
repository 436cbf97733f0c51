#include "concurrency/threads.hpp"
#include "support/stores.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <optional>
#include <string>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;

namespace {

constexpr std::size_t bulk_callers = 8;
constexpr std::size_t bulk_size = 50;

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
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    tally all;
    all.started(2 * bulk_callers * rounds);
    {
        running threads(store.context(), 4);
        at_once starters(bulk_callers, [&](std::size_t who) {
            const auto states = states_of(who, bulk_size);
            const auto keys = keys_of_states(states);
            for (std::size_t i = 0; i < rounds; ++i) {
                pgstate::save_all_options options;
                options.atomic = i % 2 == 1;
                store->save_all(states, options,
                                [&all](std::exception_ptr failure,
                                       const std::vector<pgstate::result<pgstate::saved>>& saved) {
                                    if (failure) all.wrong(failure);
                                    if (saved.size() != bulk_size) all.wrong("not all results are there");
                                    for (const auto& each : saved)
                                        if (!each) all.wrong(std::string(each.error().what()));
                                    all.done();
                                });
                store->load_all(keys, [&all](std::exception_ptr failure,
                                             const std::vector<std::optional<agent_state>>& loaded) {
                    if (failure) all.wrong(failure);
                    if (loaded.size() != bulk_size) all.wrong("not all states are there");
                    all.done();
                });
            }
        });
        starters.join();
        REQUIRE(all.wait());
    }
    CHECK(all.wrongs() == std::vector<std::string>());
    store.run([&]() -> asio::awaitable<void> {
        std::int64_t erased = 0;
        for (std::size_t who = 0; who < bulk_callers; ++who) {
            const auto states = states_of(who, bulk_size);
            const auto keys = keys_of_states(states);
            erased += co_await store->erase_all(keys);
        }
        CHECK(erased == bulk_callers * bulk_size);
    });
}

TEST_CASE("bulks and updates are cancelled while they run on several threads", "[concurrency][bulk]") {
    constexpr std::size_t rounds = 20;
    struct cancellable {
        asio::cancellation_signal signal;
        std::atomic<int> calls{0};
    };
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    std::deque<cancellable> cancelled(bulk_callers * rounds);
    tally all;
    all.started(cancelled.size());
    {
        running threads(store.context(), 4);
        at_once starters(bulk_callers, [&](std::size_t who) {
            auto strand = asio::make_strand(store.context());
            const auto states = states_of(who, 20);
            const auto keys = keys_of_states(states);
            for (std::size_t i = 0; i < rounds; ++i) {
                cancellable& mine = cancelled[who * rounds + i];
                const auto start = [&store, &mine, &all, strand, states, keys, i] {
                    const auto handler = [&mine, &all](std::exception_ptr failure, auto&&) {
                        if (failure) {
                            const auto why = pgstate::to_error(failure);
                            if (!(why == asio::error::operation_aborted)) all.wrong(std::string(why.what()));
                        }
                        ++mine.calls;
                        all.done();
                    };
                    auto token = asio::bind_cancellation_slot(mine.signal.slot(),
                                                              asio::bind_executor(strand, handler));
                    pgstate::save_all_options options;
                    options.atomic = i % 5 == 0;
                    pgstate::update_options creating;
                    creating.create = true;
                    creating.max_retries = 1000;
                    if (i % 5 < 2)
                        store->save_all(states, options, token);
                    else if (i % 5 == 2)
                        store->load_all(keys, token);
                    else if (i % 5 == 3)
                        store->erase_all(keys, token);
                    else
                        store->update(
                            "shared", "one", [](agent_state& s) { s.data["n"] = 1; }, creating, token);
                    const auto cancel = [&mine] { mine.signal.emit(asio::cancellation_type::terminal); };
                    if (i % 4 == 0)
                        cancel();
                    else
                        asio::post(strand, cancel);
                };
                asio::post(strand, start);
            }
        });
        starters.join();
        REQUIRE(all.wait());
    }
    CHECK(all.wrongs() == std::vector<std::string>());
    for (const auto& each : cancelled)
        CHECK(each.calls == 1);
}

TEST_CASE("updates from several threads lose nothing", "[concurrency][update]") {
    constexpr std::size_t rounds = 5;
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    tally all;
    all.started(bulk_callers * rounds);
    {
        running threads(store.context(), 4);
        at_once starters(bulk_callers, [&](std::size_t) {
            pgstate::update_options options;
            options.create = true;
            options.max_retries = 1000;
            for (std::size_t i = 0; i < rounds; ++i)
                store->update(
                    "a", "counter",
                    [](agent_state& state) {
                        const auto before = state.data.contains("n") ? state.data.at("n").as_int64() : 0;
                        state.data["n"] = before + 1;
                    },
                    options,
                    [&all](std::exception_ptr failure, pgstate::saved) {
                        if (failure) all.wrong(failure);
                        all.done();
                    });
        });
        starters.join();
        REQUIRE(all.wait());
    }
    CHECK(all.wrongs() == std::vector<std::string>());
    store.run([&]() -> asio::awaitable<void> {
        const auto loaded = co_await store->load("a", "counter");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("n") == bulk_callers * rounds);
    });
}
