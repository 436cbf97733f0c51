// Hand-made histories: what a store may have done, and for every rule one in which it is broken.

#include "fault/past.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using pgstate_test::history;
using pgstate_test::past;
using kind = history::kind;
using outcome = history::outcome;
using sort = history::violation::sort;

namespace {

const std::vector<sort> nothing;

} // namespace

TEST_CASE("a history in which everything was acknowledged and is there", "[history]") {
    past p;
    p.load_nothing();
    p.save(1, 10);
    p.append(2, 11);
    p.increment(7, 12);
    p.increment(7, 13);
    p.merge(3, 7, 14);
    p.load({.version = 14, .saved = 1, .appended = {2}, .counters = {{7, 2}}, .merged = {{7, 3}}});
    p.save(4, 20, 14);
    p.load({.version = 20, .saved = 4});
    p.append(5, 21);
    p.append(6, 22);
    p.load({.version = 22, .saved = 4, .appended = {5, 6}});
    p.erase(8);
    p.load_nothing();
    p.save(9, 30);
    p.load({.version = 30, .saved = 9});
    CHECK(p.violations() == nothing);
}

TEST_CASE("what is unknown may have been applied or not, soon or late", "[history]") {
    past p;
    p.save(1, 10);
    p.unknown(kind::append, 2);
    p.unknown(kind::increment, 3, 7);
    p.unknown(kind::merge, 4, 7);
    SECTION("nothing of it") {
        p.load({.version = 10, .saved = 1});
    }
    SECTION("all of it") {
        p.load({.version = 13, .saved = 1, .appended = {2}, .counters = {{7, 1}}, .merged = {{7, 4}}});
    }
    SECTION("late") {
        p.load({.version = 10, .saved = 1});
        p.append(5, 12);
        p.load({.version = 13, .saved = 1, .appended = {5, 2}});
    }
    SECTION("a save that hides what came before it") {
        p.append(5, 12);
        p.increment(7, 13);
        p.merge(6, 7, 14);
        p.unknown(kind::save, 8);
        p.load({.version = 15, .saved = 8});
        p.append(9, 16);
        p.load({.version = 16, .saved = 8, .appended = {9}});
    }
    SECTION("a save that came between") {
        p.append(5, 12);
        p.unknown(kind::save, 8);
        p.append(6, 14);
        p.increment(7, 15);
        p.load({.version = 15, .saved = 8, .appended = {6}, .counters = {{7, 1}}});
    }
    SECTION("an erase") {
        p.unknown(kind::erase, 8);
        p.load_nothing();
    }
    CHECK(p.violations() == nothing);
}

TEST_CASE("operations at the same time may be in either order", "[history]") {
    past p;
    p.next({.what = kind::save,
            .id = 1,
            .told = outcome::acknowledged,
            .version = 20,
            .invoked = past::at(1),
            .completed = past::at(9)});
    p.next({.what = kind::save,
            .id = 2,
            .told = outcome::acknowledged,
            .version = 10,
            .invoked = past::at(2),
            .completed = past::at(8)});
    p.load({.version = 10, .saved = 2, .invoked = past::at(3), .completed = past::at(7)});
    p.load({.missing = true, .invoked = past::at(3), .completed = past::at(7)});
    p.next({.what = kind::erase,
            .id = 3,
            .told = outcome::acknowledged,
            .invoked = past::at(4),
            .completed = past::at(10)});
    p.load({.version = 20, .saved = 1, .invoked = past::at(11), .completed = past::at(12)});
    p.load({.missing = true, .invoked = past::at(13), .completed = past::at(14)});
    CHECK(p.violations() == nothing);
}

TEST_CASE("an acknowledged write that is not there is lost", "[history]") {
    past p;
    p.save(1, 10);
    SECTION("a save") {
        p.save(2, 20);
        p.append(3, 30);
        p.load({.version = 30, .saved = 1, .appended = {3}});
    }
    SECTION("an append") {
        p.append(2, 11);
        p.append(3, 12);
        p.load({.version = 12, .saved = 1, .appended = {3}});
    }
    SECTION("an append after an unknown save") {
        p.unknown(kind::save, 5);
        p.append(2, 11);
        p.append(3, 12);
        p.append(4, 13);
        p.load({.version = 13, .saved = 5, .appended = {2, 4}});
    }
    SECTION("an increment") {
        p.increment(7, 11);
        p.increment(7, 12);
        p.load({.version = 12, .saved = 1, .counters = {{7, 1}}});
    }
    SECTION("the only increment") {
        p.increment(7, 11);
        p.load({.version = 11, .saved = 1});
    }
    SECTION("a merge") {
        p.merge(2, 7, 11);
        p.load({.version = 11, .saved = 1});
    }
    SECTION("a merge behind an older one") {
        p.merge(2, 7, 11);
        p.merge(3, 7, 12);
        p.load({.version = 12, .saved = 1, .merged = {{7, 2}}});
    }
    SECTION("the row") {
        p.load_nothing();
    }
    SECTION("the row, which an erase did not find") {
        auto& erase = p.next({.what = kind::erase, .id = 2, .told = outcome::acknowledged});
        erase.missing = true;
    }
    SECTION("the row, that was saved after the erase") {
        p.erase(2);
        p.save(3, 20);
        p.load_nothing();
    }
    SECTION("the row, whose erase failed") {
        p.not_applied(kind::erase, 2);
        p.load_nothing();
    }
    SECTION("the row, for an append") {
        auto& append = p.next({.what = kind::append, .id = 2, .told = outcome::failed});
        append.missing = true;
    }
    CHECK(p.violations() == std::vector{sort::lost});
}

TEST_CASE("what is applied twice is found", "[history]") {
    past p;
    p.save(1, 10);
    SECTION("an append") {
        p.append(2, 11);
        p.load({.version = 12, .saved = 1, .appended = {2, 2}});
    }
    SECTION("an unknown append") {
        p.unknown(kind::append, 2);
        p.load({.version = 12, .saved = 1, .appended = {2, 2}});
    }
    SECTION("an increment") {
        p.increment(7, 11);
        p.load({.version = 12, .saved = 1, .counters = {{7, 2}}});
    }
    SECTION("an unknown increment") {
        p.unknown(kind::increment, 2, 7);
        p.load({.version = 12, .saved = 1, .counters = {{7, 2}}});
    }
    SECTION("an increment that another client's unknown one does not explain") {
        p.unknown(kind::increment, 2, 8);
        p.increment(7, 11);
        p.load({.version = 12, .saved = 1, .counters = {{7, 2}}});
    }
    SECTION("an increment that failed") {
        p.not_applied(kind::increment, 2, 7);
        p.load({.version = 11, .saved = 1, .counters = {{7, 1}}});
    }
    CHECK(p.violations() == std::vector{sort::doubled});
}

TEST_CASE("what was reported as failed, or never done, is not there", "[history]") {
    past p;
    p.save(1, 10);
    SECTION("a save") {
        p.not_applied(kind::save, 2);
        p.load({.version = 11, .saved = 2});
    }
    SECTION("an append") {
        p.not_applied(kind::append, 2);
        p.load({.version = 11, .saved = 1, .appended = {2}});
    }
    SECTION("a merge") {
        p.not_applied(kind::merge, 2, 7);
        p.load({.version = 11, .saved = 1, .merged = {{7, 2}}});
    }
    SECTION("nobody's") {
        p.load({.version = 11, .saved = 99});
    }
    SECTION("one that has not begun") {
        p.load({.version = 11, .saved = 1, .appended = {2}});
        p.append(2, 12);
    }
    SECTION("an append from before the save") {
        p.append(2, 11);
        p.save(3, 20);
        p.load({.version = 20, .saved = 3, .appended = {2}});
    }
    SECTION("a merge from before the save") {
        p.merge(2, 7, 11);
        p.save(3, 20);
        p.load({.version = 20, .saved = 3, .merged = {{7, 2}}});
    }
    CHECK(p.violations() == std::vector{sort::phantom});
}

TEST_CASE("loads do not go back", "[history]") {
    past p;
    p.save(1, 10);
    SECTION("behind a write") {
        p.save(2, 20);
        p.load({.version = 10, .saved = 1});
    }
    SECTION("behind a load") {
        p.unknown(kind::append, 2);
        p.load({.version = 11, .saved = 1, .appended = {2}});
        p.load({.version = 10, .saved = 1});
    }
    SECTION("behind an erase") {
        p.erase(2);
        p.load({.version = 10, .saved = 1});
    }
    CHECK(p.violations() == std::vector{sort::backwards});
}

TEST_CASE("versions increase strictly while a state lives", "[history]") {
    past p;
    p.save(1, 10);
    SECTION("a smaller one") {
        p.append(2, 9);
    }
    SECTION("appends in another order than that of their versions") {
        p.append(2, 11);
        p.append(3, 12);
        p.load({.version = 12, .saved = 1, .appended = {3, 2}});
    }
    SECTION("none") {
        p.next({.what = kind::append, .id = 2, .told = outcome::acknowledged});
    }
    CHECK(p.violations() == std::vector{sort::versions});
}

TEST_CASE("a version stands for one state", "[history]") {
    past p;
    p.save(1, 10);
    const auto at_the_same_time = [&](history::write what) {
        what.told = outcome::acknowledged;
        what.version = 20;
        what.invoked = past::at(10);
        what.completed = past::at(20);
        p.next(what);
    };
    SECTION("of two appends") {
        at_the_same_time({.what = kind::append, .id = 2});
        at_the_same_time({.what = kind::append, .id = 3});
    }
    SECTION("of a write that was told the version of the foreign save behind it") {
        at_the_same_time({.what = kind::save, .id = 2});
        at_the_same_time({.what = kind::save, .id = 3});
        p.load({.version = 20, .saved = 3, .invoked = past::at(21), .completed = past::at(22)});
    }
    SECTION("of two that were loaded") {
        p.unknown(kind::append, 2);
        p.load({.version = 11, .saved = 1, .appended = {2}});
        p.load({.version = 11, .saved = 1});
    }
    CHECK(p.violations() == std::vector{sort::repeated});
}

TEST_CASE("a version that two keys have is used twice", "[history]") {
    history all;
    for (const std::string key : {"a", "b"})
        all.add(history::write{.what = kind::save,
                               .key = key,
                               .id = key == "a" ? 1U : 2U,
                               .told = outcome::acknowledged,
                               .version = 10,
                               .invoked = past::at(1),
                               .completed = past::at(2)});
    const auto found = all.check();
    REQUIRE(found.size() == 1);
    CHECK(found.front().what == sort::repeated);
}

TEST_CASE("of the conditional saves of one version one wins", "[history]") {
    past p;
    p.save(1, 10);
    SECTION("two do") {
        p.save(2, 11, 10);
        p.save(3, 12, 10);
    }
    SECTION("one that had been overtaken does") {
        p.append(2, 11);
        p.save(3, 12, 10);
    }
    SECTION("one that a save had overtaken does, though nobody knows whose version it saw") {
        p.unknown(kind::save, 2);
        p.load({.version = 11, .saved = 2});
        p.save(3, 12, 10);
    }
    SECTION("it replaces what was to come") {
        p.save(2, 11, 12);
    }
    CHECK(p.violations() == std::vector{sort::winners});
}

TEST_CASE("keys have histories of their own", "[history]") {
    history all;
    all.add(history::write{.what = kind::save,
                           .key = "a",
                           .id = 1,
                           .told = outcome::acknowledged,
                           .version = 20,
                           .invoked = past::at(1),
                           .completed = past::at(2)});
    all.add(history::write{.what = kind::save,
                           .key = "b",
                           .id = 2,
                           .told = outcome::acknowledged,
                           .version = 10,
                           .invoked = past::at(3),
                           .completed = past::at(4)});
    CHECK(all.size() == 2);
    CHECK(all.check().empty());
}
