// Hand-made histories: what a store may have done, and for every rule one in which it is broken.

#include "fault/history.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using pgstate_test::history;
using kind = history::kind;
using outcome = history::outcome;
using sort = history::violation::sort;

namespace {

/// Histories of the key "k". Everything follows each other unless it is told its times.
class past {
public:
    history::write& next(history::write what) {
        what.key = "k";
        if (what.invoked == history::time_point()) {
            what.invoked = at(++now_);
            what.completed = at(++now_);
        }
        writes_.push_back(std::move(what));
        return writes_.back();
    }
    void save(history::write_id id, std::int64_t version, std::int64_t expected = 0) {
        next({.what = kind::save,
              .id = id,
              .told = outcome::acknowledged,
              .version = version,
              .expected = expected});
    }
    void append(history::write_id id, std::int64_t version) {
        next({.what = kind::append, .id = id, .told = outcome::acknowledged, .version = version});
    }
    void increment(history::client_id client, std::int64_t version) {
        next({.what = kind::increment,
              .id = ++ids_,
              .client = client,
              .told = outcome::acknowledged,
              .version = version});
    }
    void merge(history::write_id id, history::client_id client, std::int64_t version) {
        next({.what = kind::merge,
              .id = id,
              .client = client,
              .told = outcome::acknowledged,
              .version = version});
    }
    void erase(history::write_id id) { next({.what = kind::erase, .id = id, .told = outcome::acknowledged}); }
    void not_applied(kind what, history::write_id id, history::client_id client = 0) {
        next({.what = what, .id = id, .client = client, .told = outcome::failed});
    }
    void unknown(kind what, history::write_id id, history::client_id client = 0) {
        next({.what = what, .id = id, .client = client, .told = outcome::unknown});
    }
    void load(history::observation what) {
        what.key = "k";
        if (what.invoked == history::time_point()) {
            what.invoked = at(++now_);
            what.completed = at(++now_);
        }
        loads_.push_back(std::move(what));
    }
    void load_nothing() { load({.missing = true}); }

    static history::time_point at(int moment) { return history::time_point(std::chrono::seconds(moment)); }

    std::vector<sort> violations() const {
        history all;
        for (const auto& each : writes_)
            all.add(each);
        for (const auto& each : loads_)
            all.add(each);
        std::vector<sort> sorts;
        for (const auto& each : all.check()) {
            UNSCOPED_INFO(name_of(each.what) << ": " << each.text);
            sorts.push_back(each.what);
        }
        return sorts;
    }

private:
    int now_ = 0;
    history::write_id ids_ = 1'000'000;
    std::vector<history::write> writes_;
    std::vector<history::observation> loads_;
};

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

TEST_CASE("versions increase strictly while a state lives, and stand for one state", "[history]") {
    past p;
    p.save(1, 10);
    SECTION("the same again") {
        p.next({.what = kind::append,
                .id = 2,
                .told = outcome::acknowledged,
                .version = 20,
                .invoked = past::at(10),
                .completed = past::at(20)});
        p.next({.what = kind::append,
                .id = 3,
                .told = outcome::acknowledged,
                .version = 20,
                .invoked = past::at(11),
                .completed = past::at(21)});
    }
    SECTION("a smaller one") {
        p.append(2, 9);
    }
    SECTION("two states") {
        p.unknown(kind::append, 2);
        p.load({.version = 11, .saved = 1, .appended = {2}});
        p.load({.version = 11, .saved = 1});
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
    CHECK(p.violations() == nothing);
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
    CHECK(p.violations() == nothing);
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

TEST_CASE("a version that two states have is used twice", "[history]") {
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
    CHECK(found.front().what == sort::versions);
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
