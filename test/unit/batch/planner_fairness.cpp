#include "unit/batch/planner_support.hpp"

#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <cstddef>

namespace planner_cases {

namespace {

/// Sends and answers one statement after the other until `awaited` is in one; gives how many there were.
std::size_t statements_until(bench& on, const item& awaited) {
    for (std::size_t statements = 1;; ++statements) {
        const auto batch = on.plan.next(1);
        REQUIRE_FALSE(batch.empty());
        on.finish(batch);
        if (std::find(batch.begin(), batch.end(), &awaited) != batch.end()) return statements;
    }
}

} // namespace

TEST_CASE("a flood of one type leaves turns to the others", "[planner][fairness]") {
    bench on;
    on.submit_many(type::save, 50'000);
    auto& load = on.submit(type::load, "another");
    CHECK(statements_until(on, load) <= 4);
    auto& change = on.submit(type::change, "a third", 10, true);
    CHECK(statements_until(on, change) <= 4);
    auto& health = on.submit(type::health, "");
    CHECK(statements_until(on, health) <= 4);
    // Nor has one that comes later to wait for longer.
    auto& latest = on.submit(type::load, "one more");
    CHECK(statements_until(on, latest) <= 4);
    CHECK(on.plan.ready() > 45'000);
}

TEST_CASE("a flood for one key leaves turns to other keys, of the same type too", "[planner][fairness]") {
    bench on;
    for (int i = 0; i < 50'000; ++i)
        on.submit(type::change, "flooded", 10, true);
    for (int i = 0; i < 5; ++i) { // by now those of the flood come back out of turn
        const auto batch = on.plan.next(1);
        REQUIRE(batch.size() == 1);
        on.finish(batch);
    }
    auto& behind = on.submit(type::load, "flooded");
    auto& change = on.submit(type::change, "another", 10, true);
    CHECK(statements_until(on, change) <= 8);
    auto& load = on.submit(type::load, "a third");
    CHECK(statements_until(on, load) <= 8);
    CHECK(behind.state == status::blocked); // nobody overtakes for a key
}

TEST_CASE("a flood of one agent leaves turns to other agents, of the same type too", "[planner][fairness]") {
    const auto what = GENERATE(type::save, type::load, type::list);
    CAPTURE(what->keyed, what->writes);
    bench on;
    const auto flood = on.submit_many(what, 50'000);
    for (int i = 0; i < 5; ++i) {
        auto& other = on.submit_of("another", what, "s");
        CHECK(statements_until(on, other) <= (what->keyed ? 4 : 12));
    }
    CHECK(on.plan.ready() > 48'000);
    CHECK(flood.back()->passed_over);

    // Taken out or sent, they no longer count.
    for (auto* each : flood)
        on.plan.withdraw(*each);
    const std::size_t fit =
        what->keyed ? 200 : 2; // those before anything is counted, and a statement's worth
    const auto later = on.submit_many(what, fit + 1);
    CHECK_FALSE(later[fit - 1]->passed_over);
    CHECK(later[fit]->passed_over);
    while (on.plan.ready() > 0)
        on.finish(on.plan.next(1));
    const auto latest = on.submit_many(what, fit);
    CHECK(std::none_of(latest.begin(), latest.end(), [](const item* each) { return each->passed_over; }));
}

TEST_CASE("most turns go by age", "[planner][fairness]") {
    bench on(limits(1));
    const auto saves = on.submit_many(type::save, 60);
    const auto loads = on.submit_many(type::load, 60);
    std::size_t early_loads = 0;
    for (std::size_t i = 0; i < 60; ++i) {
        const auto batch = on.plan.next(1);
        early_loads += batch.front()->type == type::load;
        on.finish(batch);
    }
    CHECK(early_loads >= 6);
    CHECK(early_loads <= 15); // a quarter
}

TEST_CASE("operations that may take long are under way in limited numbers", "[planner][fairness]") {
    bench on;
    items searches;
    for (int i = 0; i < 5; ++i)
        searches.push_back(&on.submit(type::find, ""));
    CHECK(on.plan.sendable({2}) == 2);
    CHECK(on.plan.sendable({}) == 5);
    REQUIRE(on.plan.next(4, {2}) == items{searches[0]});
    REQUIRE(on.plan.next(4, {2}) == items{searches[1]});
    CHECK(on.plan.sendable({2}) == 0);
    CHECK(on.plan.next(4, {2}).empty());

    // Others pass, though they are younger.
    auto& load = on.submit(type::load, "k");
    auto& list = on.submit(type::list, "");
    CHECK(on.plan.sendable({2}) == 2);
    CHECK(on.plan.next(4, {2}) == items{&load});
    CHECK(on.plan.next(4, {2}) == items{&list});

    SECTION("the next goes when one is over") {
        on.plan.finished(*searches[0]);
        CHECK(on.plan.sendable({2}) == 1);
        CHECK(on.plan.next(4, {2}) == items{searches[2]});
    }
    SECTION("or is to be sent again, which comes first") {
        on.plan.again(*searches[0]);
        CHECK(on.plan.sendable({2}) == 1);
        CHECK(on.plan.next(4, {2}) == items{searches[0]});
        CHECK(on.plan.sendable({2}) == 0);
    }
    SECTION("one that is withdrawn no longer counts as ready") {
        CHECK(on.plan.withdraw(*searches[4]));
        CHECK(on.plan.sendable({}) == 2);
    }
    SECTION("without a limit none is kept back") {
        CHECK(on.plan.next(4) == items{searches[2]});
    }
}

TEST_CASE("of several connections one is kept from what may take long", "[planner][fairness]") {
    CHECK(room_on(1).for_long == 1);
    CHECK(room_on(2).for_long == 1);
    CHECK(room_on(4).for_long == 3);
    CHECK(room_on(3).for_waiting == 0);
    CHECK(room_on(4).for_waiting == 1);
}

} // namespace planner_cases
