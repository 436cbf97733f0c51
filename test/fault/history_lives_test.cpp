// Hand-made histories of states that are erased and made again.

#include "fault/past.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <utility>
#include <vector>

using pgstate_test::history;
using pgstate_test::past;
using kind = history::kind;
using outcome = history::outcome;
using sort = history::violation::sort;

namespace {

/// A save that drew version 11 and waited, while the state that was there went on up to version `last` and, perhaps, was
/// erased.
struct waiting_save : past {
    explicit waiting_save(std::int64_t last = 12) {
        save(1, 10);
        next({.what = kind::save,
              .id = 2,
              .told = outcome::acknowledged,
              .version = 11,
              .invoked = at(10),
              .completed = at(50)});
        next({.what = kind::append,
              .id = 3,
              .told = outcome::acknowledged,
              .version = last,
              .invoked = at(11),
              .completed = at(20)});
    }
    void erased(int from, int until, outcome told = outcome::acknowledged, bool missing = false) {
        next({.what = kind::erase,
              .id = 4,
              .told = told,
              .missing = missing,
              .invoked = at(from),
              .completed = at(until)});
    }
    void loaded(history::observation what, int from = 60) {
        what.invoked = at(from);
        what.completed = at(from + 1);
        load(std::move(what));
    }
};

} // namespace

TEST_CASE("a new life may begin below the version with which the old one ended", "[history]") {
    waiting_save p;
    p.erased(30, 40, GENERATE(outcome::acknowledged, outcome::unknown));
    p.loaded({.version = 11, .saved = 2});
    p.next({.what = kind::append,
            .id = 5,
            .told = outcome::acknowledged,
            .version = 13,
            .invoked = past::at(62),
            .completed = past::at(63)});
    p.loaded({.version = 13, .saved = 2, .appended = {5}}, 64);
    CHECK(p.violations() == std::vector<sort>());
}

TEST_CASE("what an old life had when it was loaded need not be the save that began the next one",
          "[history]") {
    waiting_save p;
    p.loaded({.version = 12, .saved = 1, .appended = {3}}, 22);
    SECTION("an erase between the load and the end of the save explains it") {
        p.erased(30, 40, GENERATE(outcome::acknowledged, outcome::unknown));
        p.loaded({.version = 11, .saved = 2});
        CHECK(p.violations() == std::vector<sort>());
    }
    SECTION("one that was over before the load does not") {
        p.erased(18, 21);
        CHECK(p.violations() == std::vector{sort::lost});
    }
    SECTION("nor one that began when the save was over") {
        p.erased(51, 52);
        CHECK(p.violations() == std::vector{sort::lost});
    }
}

TEST_CASE("what the old life had need not be in the new one, whatever it was", "[history]") {
    waiting_save p;
    const auto before = [&](history::write what) {
        what.told = outcome::acknowledged;
        what.invoked = past::at(12);
        what.completed = past::at(20);
        p.next(what);
    };
    before({.what = kind::save, .id = 6, .version = 13, .expected = 12});
    before({.what = kind::increment, .id = 7, .client = 7, .version = 14});
    before({.what = kind::merge, .id = 8, .client = 7, .version = 15});
    p.erased(30, 40);
    p.next({.what = kind::append,
            .id = 5,
            .told = outcome::acknowledged,
            .version = 16,
            .invoked = past::at(62),
            .completed = past::at(63)});
    p.loaded({.version = 16, .saved = 2, .appended = {5}}, 64);
    CHECK(p.violations() == std::vector<sort>());
}

TEST_CASE("without an erase between there is no new life", "[history]") {
    waiting_save p;
    SECTION("none") {}
    SECTION("one that found nothing") {
        p.erased(30, 40, outcome::acknowledged, true);
    }
    SECTION("one that failed") {
        p.erased(30, 40, outcome::failed);
    }
    SECTION("one that was over before") {
        p.erased(5, 9);
    }
    SECTION("one that began later") {
        p.erased(51, 70);
    }
    SECTION("one that began later, for a load of the save") {
        p.loaded({.version = 11, .saved = 2}, 48);
        p.erased(62, 70);
    }
    const auto sorts = [&] {
        p.loaded({.version = 11, .saved = 2});
        return p.violations();
    }();
    CHECK(std::ranges::find(sorts, sort::backwards) != sorts.end());
}

TEST_CASE("what came after a new life had begun is in it", "[history]") {
    waiting_save p;
    p.erased(30, 40);
    p.next({.what = kind::append,
            .id = 5,
            .told = outcome::acknowledged,
            .version = 13,
            .invoked = past::at(51),
            .completed = past::at(52)});
    p.next({.what = kind::append,
            .id = 6,
            .told = outcome::acknowledged,
            .version = 14,
            .invoked = past::at(53),
            .completed = past::at(54)});
    p.loaded({.version = 14, .saved = 2, .appended = {6}});
    CHECK(p.violations() == std::vector{sort::lost});
}

TEST_CASE("a conditional save replaces the first version of a new life, whatever the old one had",
          "[history]") {
    waiting_save p(12);
    const bool erased = GENERATE(true, false);
    if (erased) p.erased(30, 40);
    p.loaded({.version = 11, .saved = 2});
    p.next({.what = kind::save,
            .id = 5,
            .told = outcome::acknowledged,
            .version = 13,
            .expected = 11,
            .invoked = past::at(62),
            .completed = past::at(63)});
    const auto sorts = p.violations();
    CHECK(sorts.empty() == erased);
    CHECK((std::ranges::find(sorts, sort::winners) != sorts.end()) == !erased);
}
