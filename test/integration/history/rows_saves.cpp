// schema.history = rows on a server: what a save sends.

#include "integration/history/rows_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <string>
#include <vector>

using namespace pgstate_test;
using namespace pgstate_test::rows;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::history_window;
using pgstate::postgres_store;

TEST_CASE("a save sends what is new, and everything where the rest does not fit", "[rows]") {
    opened_store f({}, in_rows());
    auto state = conversation(3);
    f.wait(f.store.save(state)).apply_to(state);
    const auto first = epoch_of(f);
    const bool conditional = GENERATE(false, true);

    state.history.push_back(numbered(3));
    f.wait(f.store.save(state, {.if_unchanged = conditional})).apply_to(state);
    CHECK(epoch_of(f) == first);
    CHECK(history_of(f) == state.history);

    // What changes no message leaves the mark as it is.
    pgstate::state_patch patch;
    patch.data["x"] = 1;
    f.wait(f.store.merge("a", "s", patch)).apply_to(state);
    f.wait(f.store.touch("a", "s", 1h)).apply_to(state);
    state.history.push_back(numbered(4));
    f.wait(f.store.save(state, {.if_unchanged = conditional})).apply_to(state);
    CHECK(epoch_of(f) == first);
    CHECK(history_of(f) == state.history);

    SECTION("others have appended, and the program added the same message") {
        f.wait(f.store.append("a", "s", {numbered(5)})).apply_to(state);
        state.history.push_back(numbered(5));
    }
    SECTION("a message was changed") {
        state.history[1].content = "another";
    }
    SECTION("a message was removed") {
        state.history.erase(state.history.begin());
    }
    SECTION("the mark is of another state") {
        auto other = conversation(5);
        other.session_id = "other";
        f.wait(f.store.save(other)).apply_to(other);
        state.mark = other.mark;
    }
    SECTION("there is no mark") {
        state.mark = {};
    }
    f.wait(f.store.save(state, {.if_unchanged = conditional})).apply_to(state);
    CHECK(epoch_of(f) != first);
    CHECK(history_of(f) == state.history);
    CHECK(orphans(f) == 0);

    // The mark of that save is of use again.
    const auto second = epoch_of(f);
    state.history.push_back(numbered(9));
    f.wait(f.store.save(state, {.if_unchanged = conditional})).apply_to(state);
    CHECK(epoch_of(f) == second);
    CHECK(history_of(f) == state.history);
}

TEST_CASE("saves that add to long histories share a statement", "[rows]") {
    auto settings = in_rows();
    settings.tuning.batch.max_bytes = std::size_t{64} << 10; // what is above an eighth of it travels alone
    opened_store f({}, settings);
    std::vector<agent_state> states;
    for (int i = 0; i < 16; ++i) {
        states.push_back(conversation(200));
        states.back().session_id = std::to_string(i);
    }
    for (auto& each : states)
        f.wait(f.store.save(each)).apply_to(each);
    const auto before = f.store.stats().statements;
    std::vector<outcome<pgstate::saved>> done(states.size());
    for (std::size_t i = 0; i < states.size(); ++i) {
        states[i].history.push_back(numbered(200));
        f.store.save(states[i], as_result(done[i].handler()));
    }
    run_until(f.context, [&] { return all_over(done); });
    CHECK(f.store.stats().statements - before <= 4); // one for each connection
    for (const auto& each : states)
        CHECK(history_of(f, each.session_id).size() == 201);
}

TEST_CASE("of two writers with the same mark one wins, or both replace the history", "[rows]") {
    opened_store f({}, in_rows());
    auto state = conversation(3);
    f.wait(f.store.save(state)).apply_to(state);
    auto mine = f.wait(f.store.load("a", "s")).value();
    auto theirs = mine;
    mine.history.push_back(numbered(10));
    theirs.history.push_back(numbered(20));
    f.wait(f.store.save(mine)).apply_to(mine);
    SECTION("with a condition") {
        f.failure(f.store.save(theirs, {.if_unchanged = true}, as_result), errc::conflict);
        CHECK(history_of(f) == mine.history);
    }
    SECTION("without") {
        f.wait(f.store.save(theirs)).apply_to(theirs);
        CHECK(history_of(f) == theirs.history);
        theirs.history.push_back(numbered(21));
        const auto epoch = epoch_of(f);
        f.wait(f.store.save(theirs));
        CHECK(epoch_of(f) == epoch);
        CHECK(history_of(f) == theirs.history);
    }
    SECTION("of a part of it") {
        auto part = f.wait(f.store.load("a", "s", {.history = history_window::last(1)})).value();
        f.wait(f.store.save(theirs)); // as long as it was, but another one
        part.data["x"] = 1;
        f.failure(f.store.save(part, as_result), errc::conflict);
    }
    CHECK(orphans(f) == 0);
}

TEST_CASE("a transaction saves messages of any text", "[rows]") {
    opened_store f({}, in_rows());
    agent_state state("a", "s");
    for (const auto* text : {"", "NULL", "\"quoted\"", "back\\slash\\", "{braces}, and commas",
                             "line\nfeed\ttab", "\xf0\x9f\x92\xbe \xd8\xa7", "'single' $1 ''"}) {
        state.history.emplace_back("user", text, pgstate::timestamp(1s));
        state.history.back().metadata["k\\\"y"] = text;
    }
    f.wait(f.store.transaction([&](pgstate::transaction& t) { t.save(state).apply_to(state); }));
    CHECK(history_of(f) == state.history);
    const auto epoch = epoch_of(f);
    state.history.emplace_back("user", "\\\"one more\\", pgstate::timestamp(2s));
    f.wait(f.store.transaction(
        [&](pgstate::transaction& t) { t.save(state, {.if_unchanged = true}).apply_to(state); }));
    CHECK(history_of(f) == state.history);
    CHECK(epoch_of(f) == epoch);
    state.history.clear();
    f.wait(f.store.transaction([&](pgstate::transaction& t) { t.save(state); }));
    CHECK(history_of(f).empty());
    CHECK(orphans(f) == 0);
}
