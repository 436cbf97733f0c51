// Saves of states that were loaded in part.

#include "support/histories.hpp"
#include "support/states.hpp"
#include "support/stores.hpp"

#include <catch2/catch_get_random_seed.hpp>
#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::history_window;

namespace {

constexpr pgstate::save_options over_its_version{.if_unchanged = true};

/// A state with five messages is stored, and a part of it loaded.
struct loaded_part {
    explicit loaded_part(const history_window& window, store_kind kind = any_kind()) : store(kind) {
        first = store.wait(store->save(state_with_messages(5)));
        state = load(window);
    }
    agent_state load(const history_window& window) {
        return store.wait(store->load("a", "s", {.history = window})).value();
    }
    agent_state whole() { return store.loaded("a", "s"); }
    void check_history(std::size_t count) { CHECK(whole().history == nth_messages(0, count)); }
    template <class Change>
    void refuses(Change change, const std::string& argument) {
        CAPTURE(argument);
        auto changed = state;
        change(changed);
        store.refuses(store->save(changed, as_result), "save", argument);
        store.refuses(store->save(changed, over_its_version, as_result), "save", argument);
    }

    store_under_test store;
    pgstate::saved first;
    agent_state state;
};

} // namespace

TEST_CASE("a save of a loaded part replaces all but the history, which grows", "[contract][windows]") {
    const auto kind = any_kind();
    for (const auto& window : {history_window::last(2), history_window::none, history_window::after(2),
                               history_window::before(a_billion, 1)}) {
        loaded_part part(window, kind);
        auto& store = part.store;
        const bool conditional = part.state.history.size() == 2;
        part.state.data = parsed(R"({"other": [1.5]})");
        part.state.extra["more"] = "member";
        const auto once = store.wait(store->save(part.state, {.if_unchanged = conditional}));
        CHECK(once.version > part.first.version);
        CHECK(once.created_at == part.first.created_at);
        part.check_history(5);
        CHECK(part.whole().data == part.state.data);
        CHECK(part.whole().extra == part.state.extra);

        once.apply_to(part.state);
        CHECK(part.state.version == once.version);
        part.state.history.push_back(nth_message(5));
        part.state.history.push_back(nth_message(6));
        part.state.context.clear();
        const auto twice = store.wait(store->save(part.state, over_its_version));
        part.check_history(7);
        CHECK(part.whole().context.empty());
        CHECK(part.whole().version == twice.version);

        twice.apply_to(part.state);
        const auto offset = part.state.history_offset;
        for (std::size_t i = 7; i < 10; ++i) {
            part.state.history.push_back(nth_message(i));
            store.wait(store->save(part.state, over_its_version)).apply_to(part.state);
        }
        CHECK(part.state.history_offset == offset);
        part.check_history(10);
    }
}

TEST_CASE("messages without a time are known after apply_to", "[contract][windows]") {
    loaded_part part(history_window::last(1));
    auto& store = part.store;
    part.state.history.emplace_back("user", "now");
    auto saved = store.wait(store->save(part.state));
    // Added between the save and what came of it: it is for the next save.
    part.state.history.emplace_back("user", "later");
    saved.apply_to(part.state);
    const auto when = part.state.history[1].timestamp;
    CHECK(when != pgstate::timestamp{});
    saved = store.wait(store->save(part.state, over_its_version));
    const auto whole = part.whole();
    REQUIRE(whole.history.size() == 7);
    CHECK(whole.history[5].content == "now");
    CHECK(whole.history[5].timestamp == when);
    CHECK(whole.history[6].content == "later");
}

TEST_CASE("what must not change of a loaded part is refused", "[contract][windows]") {
    loaded_part part(history_window::last(3));
    part.refuses([](agent_state& s) { s.history[1].content += "!"; }, "history");
    part.refuses([](agent_state& s) { s.history[0].timestamp += 1us; }, "history");
    part.refuses([](agent_state& s) { s.history[2].metadata["new"] = 1; }, "history");
    part.refuses([](agent_state& s) { std::swap(s.history[0], s.history[1]); }, "history");
    part.refuses([](agent_state& s) { s.history.pop_back(); }, "history");
    part.refuses([](agent_state& s) { s.history.clear(); }, "history");
    part.refuses([](agent_state& s) { s.history.erase(s.history.begin()); }, "history");
    part.refuses([](agent_state& s) { s.history.insert(s.history.begin(), nth_message(9)); }, "history");
    part.refuses([](agent_state& s) { s.session_id = "other"; }, "session_id");
    part.refuses([](agent_state& s) { s.agent_id = "other"; }, "agent_id");
    part.refuses([](agent_state& s) { s.history_offset = 0; }, "history_offset");
    part.refuses([](agent_state& s) { s.version = 0; }, "version");
    part.refuses([](agent_state& s) { s.history.emplace_back(std::string(1, '\0'), ""); }, "history[3].role");
    part.check_history(5);
    agent_state made("a", "made");
    made.history_offset = 2;
    part.store.refuses(part.store->save(made, as_result), "save", "history_offset");
}

TEST_CASE("a window that does not reach the end does not grow", "[contract][windows]") {
    const auto kind = any_kind();
    for (const auto& window : {history_window::before(3, 2), history_window::before(0, 7)}) {
        loaded_part part(window, kind);
        auto& store = part.store;
        part.refuses([](agent_state& s) { s.history.push_back(nth_message(5)); }, "history");
        part.state.data["value"] = 2;
        store.wait(store->save(part.state, over_its_version)).apply_to(part.state);
        part.check_history(5);
        CHECK(part.whole().data.at("value") == 2);
        part.refuses([](agent_state& s) { s.history.push_back(nth_message(5)); }, "history");
        store.wait(store->save(part.state, over_its_version));
    }
}

TEST_CASE("a window that has all of the history gives a whole state", "[contract][windows]") {
    const auto kind = any_kind();
    for (const auto& window : {history_window::last(5), history_window::before(9, 9)}) {
        loaded_part part(window, kind);
        auto& store = part.store;
        CHECK(part.state == part.whole());
        part.state.history.erase(part.state.history.begin());
        part.state.session_id = "other";
        part.state.version = 0;
        store.wait(store->save(part.state, over_its_version));
        CHECK(store.loaded("a", "other").history == nth_messages(1, 5));
    }
}

TEST_CASE("a loaded part conflicts with whoever changed the history's length", "[contract][windows]") {
    const auto kind = any_kind();
    struct other {
        std::string name;
        std::function<void(loaded_part&)> write;
        bool gone = false;
    };
    const std::vector<other> others{
        {"append", [](loaded_part& p) { p.store.wait(p.store->append("a", "s", nth_message(5))); }},
        {"save", [](loaded_part& p) { p.store.wait(p.store->save(state_with_messages(4))); }},
        {"part",
         [](loaded_part& p) {
             auto twin = p.state;
             twin.history.push_back(nth_message(5));
             p.store.wait(p.store->save(twin));
         }},
        {"empty", [](loaded_part& p) { p.store.wait(p.store->save(state_with_messages(0))); }},
        {"erase", [](loaded_part& p) { p.store.wait(p.store->erase("a", "s")); }, true},
        {"expiry",
         [](loaded_part& p) {
             p.store.wait(p.store->touch("a", "s", 1h));
             p.store.let_pass(2h);
         },
         true},
    };
    for (const auto& each : others) {
        for (const bool conditional : {false, true}) {
            CAPTURE(each.name, conditional);
            loaded_part part(history_window::last(2), kind);
            auto& store = part.store;
            each.write(part);
            const auto there = store.wait(store->load("a", "s"));
            CHECK(there.has_value() != each.gone);
            part.state.history.push_back(nth_message(5));
            const auto check = [&](const pgstate::error& why) {
                CHECK(why == errc::conflict);
                CHECK(why.current_version() == (there ? there->version : 0));
            };
            check(store.failure(store->save(part.state, {.if_unchanged = conditional}, as_result),
                                errc::conflict, "save"));
            const auto in_transaction = [&](pgstate::transaction& tx) {
                tx.save(part.state, {.if_unchanged = conditional});
            };
            check(store.failure(store->transaction(in_transaction, as_result), errc::conflict));
            CHECK(store.wait(store->load("a", "s")) == there);
        }
    }
}

TEST_CASE("a loaded part is saved blindly over changes that leave the history", "[contract][windows]") {
    loaded_part part(history_window::last(2));
    auto& store = part.store;
    store.wait(store->increment("a", "s", "/data/value", 5));
    part.state.history.push_back(nth_message(5));
    store.failure(store->save(part.state, over_its_version, as_result), errc::conflict);
    store.wait(store->save(part.state));
    part.check_history(6);
    CHECK(part.whole().data.at("value") == 1);
}

TEST_CASE("a loaded part keeps the state's expiry, or gets a new one", "[contract][windows]") {
    const auto kind = any_kind();
    for (const bool conditional : {false, true}) {
        loaded_part part(history_window::none, kind);
        auto& store = part.store;
        store.wait(store->touch("a", "s", 2h));
        CHECK(store.wait(store->save(part.state)).expires_at.has_value());
        store.wait(store->touch("a", "s", std::nullopt));
        part.state = part.load(history_window::none);
        const auto kept = store.wait(store->save(part.state, {.if_unchanged = conditional}));
        CHECK_FALSE(kept.expires_at.has_value());
        kept.apply_to(part.state);
        const auto given = store.wait(store->save(part.state, {.if_unchanged = conditional, .ttl = 1h}));
        CHECK(given.expires_at.has_value());
    }
}

TEST_CASE("loaded parts are saved by save_all, by transactions and beside updates", "[contract][windows]") {
    loaded_part part(history_window::last(2));
    auto& store = part.store;
    for (const bool atomic : {false, true}) {
        CAPTURE(atomic);
        const auto count = part.whole().history.size();
        part.state.history.push_back(nth_message(count));
        const auto whole = state_with_messages(2, "whole");
        auto done = store.wait(store->save_all(std::vector{whole, part.state}, {.atomic = atomic}));
        REQUIRE(done[1].has_value());
        done[1]->apply_to(part.state);
        part.check_history(count + 1);
    }
    part.state.history.push_back(nth_message(7));
    const auto saved = store.wait(
        store->transaction([&](pgstate::transaction& tx) { return tx.save(part.state, over_its_version); }));
    saved.apply_to(part.state);
    part.check_history(8);
    store.wait(store->update("a", "s", [](agent_state& s) {
        CHECK(s.history.size() == 8);
        s.history.erase(s.history.begin() + 2, s.history.end());
    }));
    part.check_history(2);
    store.failure(store->save(part.state, as_result), errc::conflict);
}

TEST_CASE("any sequence of saves in part leaves what a plain vector says", "[contract][windows][model]") {
    const unsigned seed = Catch::getSeed();
    CAPTURE(seed);
    store_under_test store;
    std::mt19937 random(seed);
    const auto below = [&](std::size_t limit) {
        return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
    };
    struct held_state {
        agent_state state;
        std::size_t stored; ///< messages at its load
        bool whole;
        int replaced; ///< how often the history had been replaced by then
    };
    std::vector<agent_message> history;
    int replaced = 0;
    std::int64_t version = store.wait(store->save(state_with_messages(0))).version;
    std::size_t made = 0;
    std::vector<held_state> held;
    for (int i = 0; i < 400; ++i) {
        CAPTURE(i);
        switch (below(4)) {
        case 0: {
            history.push_back(nth_message(made++));
            version = store.wait(store->append("a", "s", history.back())).version;
            break;
        }
        case 1: {
            const auto windows = windows_around(history.size());
            const auto& each = windows[below(windows.size())];
            CAPTURE(each.name);
            auto state = store.wait(store->load("a", "s", {.history = each.window})).value();
            const auto expected = each.of(history.size());
            const auto begin = history.begin();
            CHECK(state.history ==
                  std::vector<agent_message>(begin + static_cast<std::ptrdiff_t>(expected.first),
                                             begin + static_cast<std::ptrdiff_t>(expected.until)));
            CHECK(state.history_offset == expected.first);
            const bool whole = expected.until - expected.first == history.size();
            held.push_back({std::move(state), history.size(), whole, replaced});
            if (held.size() > 3) held.erase(held.begin());
            break;
        }
        default: {
            if (held.empty()) break;
            auto& one = held[below(held.size())];
            auto& state = one.state;
            const bool at_end = state.history_offset + state.history.size() == one.stored;
            std::vector<agent_message> more;
            for (auto n = at_end ? below(3) : 0; n > 0; --n)
                more.push_back(nth_message(made++));
            auto grown = state;
            grown.history.insert(grown.history.end(), more.begin(), more.end());
            const bool conditional = below(2) == 0;
            const bool same_history = one.stored == history.size() && one.replaced == replaced;
            // Only rows tell a history from another one of the same length.
            const bool continues =
                store.kind() == store_kind::rows_postgres ? same_history : one.stored == history.size();
            const bool fits = (!conditional || state.version == version) && (one.whole || continues);
            const auto done = store.wait(store->save(grown, {.if_unchanged = conditional}, as_result));
            REQUIRE(done.has_value() == fits);
            if (!fits) {
                CHECK(done.error() == errc::conflict);
                CHECK(done.error().current_version() == version);
                break;
            }
            version = done->version;
            if (one.whole)
                history = grown.history;
            else
                history.insert(history.end(), more.begin(), more.end());
            state = std::move(grown);
            done->apply_to(state);
            if (one.whole && !same_history) ++replaced;
            one.stored = history.size();
            one.replaced = replaced;
        }
        }
        if (i % 20 == 19) CHECK(store.loaded("a", "s").history == history);
    }
}
