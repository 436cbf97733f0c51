// Loads of a part of the history.

#include "support/histories.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::history_window;

TEST_CASE("a window gives its part of the history, by load, load_all and find", "[contract][windows]") {
    store_under_test store;
    const std::vector<std::size_t> counts{0, 1, 2, 7};
    std::vector<pgstate::state_key> keys;
    for (const auto count : counts) {
        keys.emplace_back("a", std::to_string(count));
        store.wait(store->save(state_with_messages(count, keys.back().session_id)));
    }
    keys.emplace_back("a", "missing");
    for (const auto count : counts) {
        for (const auto& each : windows_around(count)) {
            CAPTURE(count, each.name);
            const auto loaded = store.wait(store->load("a", std::to_string(count), {.history = each.window}));
            REQUIRE(loaded.has_value());
            check_part(*loaded, count, each.of(count));
        }
    }
    for (const auto& each : windows_around(2)) {
        CAPTURE(each.name);
        const auto loaded = store.wait(store->load_all(keys, {.history = each.window}));
        REQUIRE(loaded.size() == keys.size());
        CHECK_FALSE(loaded.back().has_value());
        pgstate::find_options finding;
        finding.history = each.window;
        pgstate::state_query query;
        query.order = pgstate::find_order::created_ascending;
        const auto page = store.wait(store->find(query, finding));
        REQUIRE(page.size() == counts.size());
        for (std::size_t i = 0; i < counts.size(); ++i) {
            CAPTURE(counts[i]);
            check_part(loaded[i].value(), counts[i], each.of(counts[i]));
            check_part(page.states[i], counts[i], each.of(counts[i]));
        }
    }
}

TEST_CASE("loads of one state with several windows at once get their own", "[contract][windows]") {
    store_under_test store;
    store.wait(store->save(state_with_messages(9)));
    std::vector<std::optional<agent_state>> got(9);
    std::size_t over = 0;
    for (std::size_t i = 0; i < got.size(); ++i)
        store->load("a", "s", {.history = history_window::last(i + 1)},
                    [&, i](std::exception_ptr, std::optional<agent_state> state) {
                        got[i] = std::move(state);
                        ++over;
                    });
    store.run_until([&] { return over == got.size(); });
    for (std::size_t i = 0; i < got.size(); ++i)
        check_part(got[i].value(), 9, {9 - (i + 1), 9});
}

TEST_CASE("pages of found states keep their order with a window", "[contract][windows]") {
    store_under_test store;
    for (std::size_t i = 0; i < 7; ++i)
        store.wait(store->save(state_with_messages(i, std::to_string(i))));
    pgstate::find_options finding(3);
    finding.history = history_window::last(1);
    pgstate::state_query query;
    query.contains["data"] = {{"value", 1}};
    query.order = pgstate::find_order::created_ascending;
    std::size_t seen = 0;
    do {
        const auto page = store.wait(store->find(query, finding));
        for (const auto& each : page) {
            CHECK(each.session_id == std::to_string(seen));
            check_part(each, seen, {seen == 0 ? 0 : seen - 1, seen});
            ++seen;
        }
        finding.after = page.next;
    } while (!finding.after.empty());
    CHECK(seen == 7);
}

TEST_CASE("a window of 0 messages is refused, and a missing state is none", "[contract][windows]") {
    store_under_test store;
    store.wait(store->save(state_with_messages(3)));
    const std::vector<pgstate::state_key> keys{{"a", "s"}};
    for (const auto& window : {history_window::last(0), history_window::before(2, 0)}) {
        store.refuses(store->load("a", "s", {.history = window}, as_result), "load", "history");
        store.refuses(store->load_all(keys, {.history = window}, as_result), "load_all", "history");
        pgstate::find_options finding;
        finding.history = window;
        store.refuses(store->find({}, finding, as_result), "find", "history");
        finding.documents = false;
        const auto page = store.wait(store->find({}, finding));
        REQUIRE(page.size() == 1);
        CHECK(page.states[0].history_offset == 0);
    }
    const auto version = store.loaded("a", "s").version;
    store.refuses(store->load("a", "s", {.history = history_window::last(1), .at = version}, as_result),
                  "load", "at and history");
    CHECK_FALSE(store.wait(store->load("a", "missing", {.history = history_window::last(2)})).has_value());
}

TEST_CASE("messages reads a history in both directions", "[contract][windows]") {
    store_under_test store;
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{6}, std::size_t{7}}) {
        CAPTURE(count);
        store.wait(store->save(state_with_messages(count)));
        pgstate::messages_options back;
        back.limit = 3;
        std::vector<agent_message> read;
        do {
            const auto page = store.wait(store->messages("a", "s", back)).value();
            CHECK(page.total == count);
            CHECK(page.next.has_value() == back.before.has_value());
            CHECK((page.size() == 3 || !page.previous));
            CHECK(std::equal(page.begin(), page.end(),
                             nth_messages(page.first, page.first + page.size()).begin()));
            read.insert(read.begin(), page.begin(), page.end());
            back.before = page.previous;
        } while (back.before);
        CHECK(read == nth_messages(0, count));

        pgstate::messages_options on;
        on.limit = 3;
        on.from = 0;
        read.clear();
        do {
            const auto page = store.wait(store->messages("a", "s", on)).value();
            CHECK(page.first == *on.from);
            CHECK(page.previous.has_value() == (page.first != 0));
            CHECK((page.size() == 3 || !page.next));
            read.insert(read.end(), page.begin(), page.end());
            on.from = page.next;
        } while (on.from);
        CHECK(read == nth_messages(0, count));

        for (const auto from : {std::uint64_t{count}, a_billion, half_of_all, ~std::uint64_t{0}}) {
            on.from = from;
            const auto page = store.wait(store->messages("a", "s", on)).value();
            CHECK(page.empty());
            CHECK(page.first == count);
            CHECK_FALSE(page.next.has_value());
        }
        CHECK(store.wait(store->messages("a", "s")).value().messages == nth_messages(0, count));
    }
    CHECK_FALSE(store.wait(store->messages("a", "missing")).has_value());
    store.refuses(store->messages("", "s", as_result), "messages", "agent_id");
    const std::vector<std::pair<pgstate::messages_options, std::string>> refused{
        {{.limit = 0}, "limit"},
        {{.limit = 10'001}, "limit"},
        {{.from = 1, .before = 2}, "from and before"},
        {{.timeout = -1ms}, "timeout"}};
    for (const auto& [options, argument] : refused)
        store.refuses(store->messages("a", "s", options, as_result), "messages", argument);
}
