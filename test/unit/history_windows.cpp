#include "codec/history.hpp"
#include "codec/validate.hpp"
#include "pgstate/detail/encoded_state.hpp"
#include "support/histories.hpp"
#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::errc;
using pgstate::history_window;
namespace codec = pgstate::codec;

namespace {

agent_state cut_state(std::size_t length, const history_window& window) {
    auto state = state_with_messages(length);
    state.version = 7;
    codec::cut(state, window);
    return state;
}

bool can_be_saved(const agent_state& state) {
    return !pgstate::detail::encoded_state(state).failure.has_value();
}

} // namespace

TEST_CASE("a state is cut as its window says", "[window]") {
    for (const auto length : std::vector<std::size_t>{0, 1, 2, 5})
        for (const auto& each : windows_around(length)) {
            CAPTURE(length, each.name);
            const auto state = cut_state(length, each.window);
            check_part(state, length, each.of(length));
            CHECK(codec::stored_messages(state) == length);
            CHECK(can_be_saved(state));
        }
}

TEST_CASE("windows are compared, and those without messages refused", "[window]") {
    CHECK(history_window() == history_window::all);
    CHECK(history_window::after(~std::uint64_t{0}) == history_window::all);
    CHECK(history_window::none != history_window::all);
    CHECK(history_window::last(2) != history_window::last(3));
    CHECK_NOTHROW(codec::validate_window(history_window::none, "load"));
    CHECK_NOTHROW(codec::validate_window(history_window::last(half_of_all), "load"));
    for (const auto& window : {history_window::last(0), history_window::before(7, 0)}) {
        const auto why = failure_of([&] { codec::validate_window(window, "load"); });
        CHECK(why == errc::invalid_argument);
        CHECK(names(why, "load: history"));
    }
}

TEST_CASE("every value of a loaded message is in its digest", "[window]") {
    auto original = state_with_messages(4);
    original.version = 7;
    original.history[2].metadata = {{"a", 1}, {"b", {1, 2.5, "x", nullptr}}};
    original.history[2].extra = {{"c", true}};
    codec::cut(original, history_window::last(3));
    auto& text = original.history[1];
    REQUIRE(can_be_saved(original));
    const std::vector<std::pair<std::string, std::function<void(agent_message&)>>> changes{
        {"role", [](agent_message& m) { m.role = "tool"; }},
        {"content", [](agent_message& m) { m.content += ' '; }},
        {"between role and content",
         [](agent_message& m) { m.content.insert(0, 1, m.role.back()), m.role.pop_back(); }},
        {"timestamp", [](agent_message& m) { m.timestamp += std::chrono::microseconds(1); }},
        {"value", [](agent_message& m) { m.metadata["a"] = 2; }},
        {"type", [](agent_message& m) { m.metadata["a"] = true; }},
        {"nested", [](agent_message& m) { m.metadata["b"].as_array()[1] = 2.25; }},
        {"order",
         [](agent_message& m) { std::swap(m.metadata["b"].as_array()[0], m.metadata["b"].as_array()[2]); }},
        {"removed", [](agent_message& m) { m.metadata.erase("a"); }},
        {"id", [](agent_message& m) { m.id = "x"; }},
        {"extra", [](agent_message& m) { m.extra["d"] = nullptr; }},
        {"members moved", [](agent_message& m) { std::swap(m.metadata, m.extra); }},
    };
    for (const auto& [name, change] : changes) {
        CAPTURE(name);
        const auto before = text;
        change(text);
        CHECK_FALSE(can_be_saved(original));
        text = before;
        CHECK(can_be_saved(original));
    }
    // The same values, put together in another order.
    text.metadata = {{"b", {1, 2.5, "x", nullptr}}, {"a", std::uint64_t{1}}};
    CHECK(can_be_saved(original));
}

TEST_CASE("a mark has no part in the comparison of states, and goes along with copies", "[window]") {
    auto part = cut_state(5, history_window::last(2));
    auto values = part;
    values.mark = {};
    CHECK(values == part);
    CHECK_FALSE(can_be_saved(values)); // history_offset without its mark
    values = part;
    values.history.push_back(nth_message(5));
    const pgstate::detail::encoded_state encoded(values);
    CHECK(encoded.stored_messages == 5);
    CHECK(encoded.document.find("message 5") != std::string::npos);
    CHECK(encoded.document.find("message 4") == std::string::npos);

    const auto moved = std::move(values);
    CHECK(can_be_saved(moved));
}

TEST_CASE("apply_to leaves alone what was not saved", "[window]") {
    auto part = cut_state(5, history_window::last(2));
    pgstate::saved done;
    done.version = 8;
    const auto after = [&] { return pgstate::detail::encoded_state(part).stored_messages; };
    done.apply_to(part); // of a whole save: no mark
    CHECK(after() == 5);

    part.history.push_back(nth_message(5));
    done.mark = pgstate::detail::encoded_state(part).mark;
    auto other = cut_state(5, history_window::last(3));
    done.apply_to(other);
    CHECK(pgstate::detail::encoded_state(other).stored_messages == 5);
    auto changed = part;
    changed.history[0].content = "changed";
    done.apply_to(changed);
    CHECK_FALSE(can_be_saved(changed));
    done.apply_to(part);
    CHECK(after() == 6);
}

TEST_CASE("apply_to of another outcome leaves messages without a time as they were loaded", "[window]") {
    agent_state state("a", "s");
    state.version = 7;
    state.history.resize(5); // as other writers can leave them
    pgstate::codec::cut(state, history_window::last(2));
    state.history.emplace_back("user", "new");
    pgstate::saved touched;
    touched.version = 8;
    touched.updated_at = pgstate::timestamp(std::chrono::hours(1));
    touched.apply_to(state);
    CHECK(state.history[0].timestamp == pgstate::timestamp());
    CHECK(state.history[2].timestamp == touched.updated_at);
    CHECK(can_be_saved(state));
}
