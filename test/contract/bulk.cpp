#include "pgstate/postgres_store.hpp"
#include "support/states.hpp"
#include "support/stores.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::state_key;

namespace {

using saved_list = std::vector<pgstate::result<pgstate::saved>>;

constexpr pgstate::save_all_options atomically{.atomic = true};

std::vector<agent_state> numbered_states(std::size_t count) {
    std::vector<agent_state> made;
    for (std::size_t i = 0; i < count; ++i) {
        made.emplace_back("a" + std::to_string(i % 7), std::to_string(i));
        made.back().data["i"] = static_cast<std::int64_t>(i);
    }
    return made;
}

std::vector<state_key> keys_of(const std::vector<agent_state>& states) {
    std::vector<state_key> keys;
    for (const auto& each : states)
        keys.emplace_back(each.agent_id, each.session_id);
    return keys;
}

std::vector<state_key> one_bad_key() {
    return {{"a", "1"}, {"a", "2"}, {"a", ""}, {"a", "4"}};
}

} // namespace

TEST_CASE("load_all gives a state for each key, in their order", "[contract][bulk]") {
    store_under_test store;
    const agent_state first = full_state("a", "1");
    store.wait(store->save(first));
    const auto saved = store.wait(store->save(agent_state("b", "2")));

    // The second is missing, and the last is the first once more.
    const std::vector<state_key> keys{{"b", "2"}, {"a", "2"}, {"a", "1"}, {"b", "2"}};
    const auto loaded = store.wait(store->load_all(keys));
    REQUIRE(loaded.size() == 4);
    CHECK_FALSE(loaded[1].has_value());
    REQUIRE((loaded[0] && loaded[2] && loaded[3]));
    CHECK(contents_of(*loaded[2]) == contents_of(first));
    CHECK(*loaded[0] == *loaded[3]);
    CHECK(loaded[0]->agent_id == "b");
    CHECK(loaded[0]->version == saved.version);
}

TEST_CASE("load_all takes any range, and copies it before it returns", "[contract][bulk]") {
    store_under_test store;
    auto states = numbered_states(10);
    std::optional<saved_list> saved;
    store->save_all(states, [&](std::exception_ptr failure, saved_list list) {
        CHECK_FALSE(failure);
        saved = std::move(list);
    });
    states.clear();
    store.run_until([&] { return saved.has_value(); });
    auto numbers = std::views::iota(0, 12) | std::views::transform([](int i) {
                       return state_key("a" + std::to_string(i % 7), std::to_string(i));
                   });
    const auto loaded = store.wait(store->load_all(numbers));
    REQUIRE(loaded.size() == 12);
    for (std::size_t i = 0; i < 12; ++i)
        CHECK(loaded[i].has_value() == (i < 10));
}

TEST_CASE("an empty range succeeds, never inside the call", "[contract][bulk]") {
    store_under_test store;
    const std::vector<state_key> keys;
    const std::vector<agent_state> states;
    int done = 0;
    bool inside = false;
    const auto handler = [&](std::exception_ptr failure, const auto& results) {
        CHECK_FALSE(inside);
        CHECK_FALSE(failure);
        CHECK(results.empty());
        ++done;
    };
    asio::post(store.context(), [&] {
        inside = true;
        store->load_all(keys, handler);
        store->erase_all(keys, [&](std::exception_ptr failure, std::int64_t count) {
            CHECK(count == 0);
            handler(failure, keys);
        });
        for (const bool atomic : {false, true})
            store->save_all(states, {.atomic = atomic}, handler);
        inside = false;
    });
    store.run_until([&] { return done == 4; });
}

TEST_CASE("load_all and erase_all name the key they refuse, and send nothing", "[contract][bulk]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "1")));
    const auto keys = one_bad_key();
    CHECK(names(store.refuses(store->load_all(keys, as_result), "load_all", "keys[2]"), "session_id"));
    store.refuses(store->erase_all(keys, as_result), "erase_all", "keys[2]");
    CHECK(store.has("a", "1"));

    constexpr std::chrono::milliseconds negative(-1);
    const pgstate::erase_options erase_time{.timeout = negative};
    const pgstate::save_all_options save_time{.timeout = negative};
    store.refuses(store->load_all(keys, pgstate::load_options{.timeout = negative}, as_result), "load_all",
                  "timeout");
    store.refuses(store->erase_all(keys, erase_time, as_result), "erase_all", "timeout");
    store.refuses(store->save_all(numbered_states(2), save_time, as_result), "save_all", "timeout");
}

TEST_CASE("erase_all takes no version, which would be that of one state", "[contract][bulk]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    const std::vector<state_key> keys(1, state_key("a", "s"));
    const pgstate::erase_options at_a_version{.if_version = 1};
    store.refuses(store->erase_all(keys, at_a_version, as_result), "erase_all");
    CHECK(store.has("a", "s"));
}

TEST_CASE("erase_all says how many states there were", "[contract][bulk]") {
    store_under_test store;
    const auto states = numbered_states(10);
    store.wait(store->save_all(states));
    auto keys = keys_of(states);
    keys.pop_back();
    keys.emplace_back("nobody", "s");
    keys.push_back(keys.front());
    CHECK(store.wait(store->erase_all(keys)) == 9);
    CHECK(store.wait(store->count()) == 1);
    CHECK(store.wait(store->erase_all(keys)) == 0);
}

TEST_CASE("save_all gives each state its own outcome", "[contract][bulk]") {
    store_under_test store;
    auto states = numbered_states(5);
    states[2].data["bad"] = bad_texts().front();
    const auto results = store.wait(store->save_all(states));
    REQUIRE(results.size() == 5);
    for (std::size_t i = 0; i < 5; ++i) {
        CAPTURE(i);
        if (i == 2) {
            CHECK(require_failure(results[i], errc::invalid_argument).operation() == "save");
            CHECK_FALSE(store.has(states[i].agent_id, states[i].session_id));
            continue;
        }
        REQUIRE(results[i].has_value());
        const auto loaded = store.loaded(states[i].agent_id, states[i].session_id);
        CHECK(loaded.version == results[i]->version);
        CHECK(loaded.data == states[i].data);
    }
}

TEST_CASE("save_all with if_unchanged finds the conflict of each state", "[contract][bulk]") {
    store_under_test store;
    auto states = numbered_states(4);
    const auto first = store.wait(store->save_all(states));
    for (std::size_t i = 0; i < 4; ++i)
        states[i].version = first[i].value().version;
    states[1].version = 0;
    states[3].version += 1;
    const auto second = store.wait(store->save_all(states, {.if_unchanged = true}));
    REQUIRE(second.size() == 4);
    CHECK(second[0].has_value());
    CHECK(second[2].has_value());
    CHECK(require_failure(second[1], errc::conflict).current_version() == first[1]->version);
    CHECK(require_failure(second[3], errc::conflict).current_version() == first[3]->version);
}

TEST_CASE("save_all saves a state that stands twice in their order", "[contract][bulk]") {
    store_under_test store;
    std::vector<agent_state> states(3, agent_state("a", "s"));
    for (std::size_t i = 0; i < 3; ++i)
        states[i].data["i"] = static_cast<std::int64_t>(i);
    const auto results = store.wait(store->save_all(states));
    REQUIRE((results[0] && results[1] && results[2]));
    CHECK(results[0]->version < results[1]->version);
    CHECK(results[1]->version < results[2]->version);
    CHECK(store.loaded("a", "s").data.at("i") == 2);
}

TEST_CASE("an atomic save_all saves all states and gives their results in order", "[contract][bulk]") {
    store_under_test store;
    const auto states = numbered_states(20); // not in the order of their keys
    const auto results = store.wait(store->save_all(states, {.atomic = true}));
    const auto keys = keys_of(states);
    const auto loaded = store.wait(store->load_all(keys));
    REQUIRE(results.size() == 20);
    REQUIRE(loaded.size() == 20);
    for (std::size_t i = 0; i < 20; ++i) {
        CAPTURE(i);
        REQUIRE((results[i].has_value() && loaded[i].has_value()));
        CHECK(loaded[i]->version == results[i]->version);
        CHECK(loaded[i]->updated_at == results[i]->updated_at);
        CHECK(loaded[i]->data == states[i].data);
    }
}

TEST_CASE("an atomic save_all with a conflict changes nothing and names it", "[contract][bulk]") {
    store_under_test store;
    auto states = numbered_states(5);
    const auto existing = store.wait(store->save(states[2]));
    const pgstate::save_all_options options{.atomic = true, .if_unchanged = true};
    const auto error = store.failure(store->save_all(states, options, as_result), errc::conflict, "save_all");
    CHECK(names(error, "states[2]"));
    CHECK(error.current_version() == existing.version);
    CHECK(store.wait(store->count()) == 1);
    CHECK(store.loaded(states[2].agent_id, states[2].session_id).version == existing.version);

    states[2].version = existing.version;
    CHECK(store.wait(store->save_all(states, options)).size() == 5);
    CHECK(store.wait(store->count()) == 5);
}

TEST_CASE("an atomic save_all refuses a bad state and a key that stands twice", "[contract][bulk]") {
    store_under_test store;
    auto states = numbered_states(5);
    states[3].data["bad"] = bad_texts().front();
    const auto bad = store.refuses(store->save_all(states, atomically, as_result), "save_all", "states[3]");
    CHECK(names(bad, "data"));

    states[3] = states[1];
    const auto both = store.refuses(store->save_all(states, atomically, as_result), "save_all", "states[1]");
    CHECK(names(both, "states[3]"));
    CHECK(store.wait(store->count()) == 0);
}

TEST_CASE("atomic save_alls of the same states in opposite orders all succeed", "[contract][bulk]") {
    store_under_test store;
    auto states = numbered_states(20);
    int done = 0;
    for (int i = 0; i < 10; ++i) {
        std::reverse(states.begin(), states.end());
        store->save_all(states, atomically, [&](std::exception_ptr failure, const saved_list& saved) {
            CHECK_FALSE(failure);
            CHECK(saved.size() == 20);
            ++done;
        });
    }
    store.run_until([&] { return done == 10; });
}

TEST_CASE("a thousand states are saved, loaded and erased at once", "[contract][bulk]") {
    store_under_test store;
    const auto states = numbered_states(1000);
    const auto keys = keys_of(states);
    const auto saved = store.wait(store->save_all(states));
    REQUIRE(saved.size() == states.size());
    const auto loaded = store.wait(store->load_all(keys));
    REQUIRE(loaded.size() == states.size());
    std::size_t right = 0;
    for (std::size_t i = 0; i < states.size(); ++i)
        if (saved[i] && loaded[i] && loaded[i]->data == states[i].data &&
            loaded[i]->version == saved[i]->version)
            ++right;
    CHECK(right == states.size());
    CHECK(store.wait(store->erase_all(keys)) == 1000);
    if (const auto* postgres = dynamic_cast<pgstate::postgres_store*>(&*store)) {
        const auto stats = postgres->stats();
        CHECK(stats.operations_sent >= 3000);
        CHECK(stats.statements < 300); // they shared them
    }
}

TEST_CASE("a bulk that is cancelled gives up all that is left of it", "[contract][bulk]") {
    store_under_test store;
    const auto states = numbered_states(100);
    const auto keys = keys_of(states);
    asio::cancellation_signal signal;
    std::optional<pgstate::error> outcome;
    bool done = false;
    const auto token = [&] {
        return asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr failure, auto&&) {
            if (failure) outcome = pgstate::to_error(failure);
            done = true;
        });
    };
    std::string operation = "save_all";
    SECTION("save_all") {
        store->save_all(states, token());
    }
    SECTION("save_all, atomic") {
        store->save_all(states, atomically, token());
    }
    SECTION("load_all") {
        operation = "load_all";
        store->load_all(keys, token());
    }
    SECTION("erase_all") {
        operation = "erase_all";
        store->erase_all(keys, token());
    }
    signal.emit(asio::cancellation_type::terminal);
    store.run_until([&] { return done; });
    if (store.kind() == store_kind::memory) { // whose operations are done before anyone could cancel them
        CHECK_FALSE(outcome.has_value());
        return;
    }
    REQUIRE(outcome.has_value());
    CHECK(*outcome == asio::error::operation_aborted);
    CHECK(outcome->operation() == operation);
    CHECK(store.wait(store->count()) < 100); // those whose statement was under way
}

TEST_CASE("a bulk completes on the handler's executor, never inside the call", "[contract][bulk]") {
    store_under_test store;
    auto strand = asio::make_strand(store.context());
    const auto states = numbered_states(3);
    const auto keys = keys_of(states);
    const auto bad = one_bad_key();
    bool inside = false;
    int done = 0;
    const auto handler = [&] {
        return asio::bind_executor(strand, [&](std::exception_ptr, auto&&) {
            CHECK_FALSE(inside);
            CHECK(strand.running_in_this_thread());
            ++done;
        });
    };
    asio::post(strand, [&] {
        inside = true;
        store->save_all(states, handler());
        store->save_all(states, atomically, handler());
        store->load_all(keys, handler());
        store->load_all(bad, handler());
        store->erase_all(keys, handler());
        inside = false;
    });
    store.run_until([&] { return done == 5; });
}
