#include "batch/planner.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using pgstate::batch_config;
using pgstate::batch::hash_key;
using pgstate::batch::item;
using pgstate::batch::manner;
using pgstate::batch::planner;
using pgstate::batch::room_on;
using pgstate::batch::traits;
using status = pgstate::batch::item::status;
using items = std::vector<item*>;

/// Types as a store has them; their addresses tell them apart.
namespace type {
constexpr traits saves{.writes = true, .keyed = true, .shares = true};
constexpr traits creates = saves;
constexpr traits replaces = saves;
constexpr traits erases = saves;
constexpr traits changes{.writes = true, .keyed = true};
constexpr traits loads{.keyed = true, .shares = true};
constexpr traits probes = loads;
constexpr traits lists{};
constexpr traits healths{};
constexpr traits finds{.takes_long = true};

constexpr const traits* save = &saves;
constexpr const traits* create = &creates;
constexpr const traits* replace = &replaces;
constexpr const traits* erase = &erases;
constexpr const traits* change = &changes;
constexpr const traits* load = &loads;
constexpr const traits* probe = &probes;
constexpr const traits* list = &lists;
constexpr const traits* health = &healths;
constexpr const traits* find = &finds;
} // namespace type

batch_config limits(std::size_t max_operations, std::size_t max_bytes = 8000) {
    batch_config result;
    result.max_operations = max_operations;
    result.max_bytes = max_bytes;
    return result;
}

/// A planner and the operations submitted to it, which outlive it.
struct bench {
    explicit bench(const batch_config& with = limits(100)) : plan(with) {}

    item& submit(const traits* what, std::string_view session_id, std::size_t bytes = 10,
                 bool alone = false) {
        return submit_of("agent", what, session_id, bytes, alone);
    }

    item& submit_of(std::string_view agent_id, const traits* what, std::string_view session_id,
                    std::size_t bytes = 10, bool alone = false) {
        auto& made = all.emplace_back();
        made.type = what;
        made.exclusive = what->writes;
        made.agent_id = agent_id;
        made.session_id = session_id;
        made.key_hash = hash_key(made.agent_id, made.session_id);
        made.bytes = bytes;
        made.how = alone ? manner::alone : manner::shared;
        plan.submit(made);
        return made;
    }

    items submit_many(const traits* what, std::size_t count, std::size_t bytes = 10) {
        items made;
        for (std::size_t i = 0; i < count; ++i)
            made.push_back(&submit(what, names.emplace_back("many" + std::to_string(1000 + i)), bytes));
        return made;
    }

    void finish(const items& batch) {
        for (auto* each : batch)
            plan.finished(*each);
    }

    std::deque<std::string> names;
    std::deque<item> all;
    planner plan;
};

} // namespace

TEST_CASE("an idle planner has no batch", "[planner]") {
    bench on;
    CHECK(on.plan.next(1).empty());
    CHECK(on.plan.ready() == 0);
    CHECK(on.plan.blocked() == 0);
}

TEST_CASE("writes to one key go one after the other, as submitted", "[planner]") {
    bench on;
    auto& first = on.submit(type::save, "k");
    auto& second = on.submit(type::save, "k");
    auto& third = on.submit(type::save, "k");
    CHECK(on.plan.ready() == 1);
    CHECK(on.plan.blocked() == 2);
    CHECK(first.state == status::ready);
    CHECK(second.state == status::blocked);

    REQUIRE(on.plan.next(1) == items{&first});
    CHECK(first.state == status::sent);
    CHECK(on.plan.next(1).empty());

    on.plan.finished(first);
    CHECK(first.state == status::outside);
    REQUIRE(on.plan.next(1) == items{&second});
    CHECK(on.plan.next(1).empty());
    on.plan.finished(second);
    REQUIRE(on.plan.next(1) == items{&third});
    on.plan.finished(third);
    CHECK(on.plan.ready() == 0);
    CHECK(on.plan.blocked() == 0);
}

TEST_CASE("what is exclusive has its key for itself, also while it is sent as a read", "[planner]") {
    bench on;
    const auto submit = [&]() -> item& {
        auto& made = on.all.emplace_back();
        made.type = type::probe;
        made.exclusive = true;
        made.agent_id = "agent";
        made.session_id = "k";
        made.key_hash = hash_key(made.agent_id, made.session_id);
        on.plan.submit(made);
        return made;
    };
    auto& first = submit();
    auto& second = submit();
    auto& read = on.submit(type::load, "k");
    REQUIRE(on.plan.next(1) == items{&first});
    first.type = type::save;
    on.plan.again(first);
    REQUIRE(on.plan.next(1) == items{&first});
    CHECK(on.plan.next(1).empty());
    on.plan.finished(first);
    REQUIRE(on.plan.next(1) == items{&second});
    CHECK(on.plan.next(1).empty());
    on.plan.finished(second);
    CHECK(on.plan.next(1) == items{&read});
}

TEST_CASE("the same session of another agent is another key", "[planner]") {
    bench on;
    auto& one = on.submit(type::save, "k");
    item other;
    other.type = type::save;
    other.exclusive = true;
    other.agent_id = "another";
    other.session_id = "k";
    on.plan.submit(other);
    CHECK(on.plan.next(1) == items{&one, &other});
    on.finish({&one, &other});
}

TEST_CASE("reads of one key run together, also while others of them are under way", "[planner]") {
    bench on;
    auto& first = on.submit(type::load, "k");
    auto& second = on.submit(type::load, "k");
    const auto batch = on.plan.next(1);
    CHECK(std::set<item*>(batch.begin(), batch.end()) == std::set<item*>{&first, &second});
    auto& third = on.submit(type::load, "k");
    CHECK(on.plan.next(1) == items{&third});
}

TEST_CASE("a write waits for every read before it, and no read overtakes it", "[planner]") {
    bench on;
    auto& first = on.submit(type::load, "k");
    auto& second = on.submit(type::load, "k");
    auto& write = on.submit(type::erase, "k");
    auto& third = on.submit(type::load, "k");
    auto& fourth = on.submit(type::load, "k");
    auto& last = on.submit(type::save, "k");

    REQUIRE(on.plan.next(1).size() == 2);
    CHECK(on.plan.next(1).empty());
    on.plan.finished(second);
    CHECK(on.plan.next(1).empty());
    on.plan.finished(first);
    REQUIRE(on.plan.next(1) == items{&write});
    CHECK(on.plan.next(1).empty());
    on.plan.finished(write);
    const auto readers = on.plan.next(1);
    CHECK(std::set<item*>(readers.begin(), readers.end()) == std::set<item*>{&third, &fourth});
    CHECK(on.plan.next(1).empty());
    on.finish(readers);
    CHECK(on.plan.next(1) == items{&last});
}

TEST_CASE("a busy key does not hold up another", "[planner]") {
    bench on;
    auto& first = on.submit(type::save, "busy");
    auto& behind = on.submit(type::save, "busy");
    REQUIRE(on.plan.next(1) == items{&first});
    auto& other = on.submit(type::save, "free");
    CHECK(on.plan.next(1) == items{&other});
    CHECK(behind.state == status::blocked);
}

TEST_CASE("a batch has at most max_operations, the oldest first", "[planner]") {
    bench on(limits(10));
    const auto all = on.submit_many(type::save, 25);
    CHECK(on.plan.next(1) == items(all.begin(), all.begin() + 10));
    CHECK(on.plan.next(1) == items(all.begin() + 10, all.begin() + 20));
    CHECK(on.plan.next(1) == items(all.begin() + 20, all.end()));
    CHECK(on.plan.next(1).empty());
}

TEST_CASE("a batch has at most max_bytes", "[planner]") {
    bench on(limits(100, 8000));
    on.submit_many(type::save, 20, 1000);
    CHECK(on.plan.next(1).size() == 8); // to the byte
    CHECK(on.plan.next(1).size() == 8);
    CHECK(on.plan.next(1).size() == 4);

    bench uneven(limits(100, 8000));
    uneven.submit_many(type::save, 9, 999);
    uneven.submit(type::save, "one too many", 10);
    CHECK(uneven.plan.next(1).size() == 8); // 7,992: neither 999 nor 10 more fit
    CHECK(uneven.plan.next(1).size() == 2);
}

TEST_CASE("a heavy operation travels alone and holds no others back", "[planner]") {
    bench on(limits(100, 8000));
    auto& a = on.submit(type::save, "a");
    auto& heavy = on.submit(type::save, "b", 1001);
    auto& heavier = on.submit(type::save, "c", 100'000);
    auto& d = on.submit(type::save, "d");
    CHECK(on.plan.next(1) == items{&a, &d});
    CHECK(on.plan.next(1) == items{&heavy});
    CHECK(on.plan.next(1) == items{&heavier});
    CHECK(on.plan.next(1).empty());
}

TEST_CASE("the type of the oldest operation goes next, and a batch has one type", "[planner]") {
    bench on;
    auto& load = on.submit(type::load, "a");
    auto& save = on.submit(type::save, "b");
    auto& erase = on.submit(type::erase, "c");
    auto& create = on.submit(type::create, "d");
    auto& replace = on.submit(type::replace, "e");
    auto& later_erase = on.submit(type::erase, "f");
    auto& later_load = on.submit(type::load, "g");
    CHECK(on.plan.next(1) == items{&load, &later_load});
    // A steady stream of another type does not starve those who wait.
    auto& latest_load = on.submit(type::load, "h");
    CHECK(on.plan.next(1) == items{&save});
    CHECK(on.plan.next(1) == items{&erase, &later_erase});
    CHECK(on.plan.next(1) == items{&create});
    CHECK(on.plan.next(1) == items{&replace});
    CHECK(on.plan.next(1) == items{&latest_load});
}

TEST_CASE("an operation that was blocked keeps its age", "[planner]") {
    const auto younger_type = GENERATE(type::erase, type::load);
    bench on(limits(1));
    auto& first = on.submit(type::save, "k");
    auto& blocked = on.submit(type::load, "k");
    REQUIRE(on.plan.next(1) == items{&first});
    auto& younger = on.submit(younger_type, "other");
    on.plan.finished(first);
    CHECK(on.plan.next(1) == items{&blocked});
    CHECK(on.plan.next(1) == items{&younger});
}

TEST_CASE("operations without a key travel alone and wait for nobody", "[planner]") {
    const auto what = GENERATE(type::list, type::find);
    bench on;
    auto& save = on.submit(type::save, "");
    REQUIRE(on.plan.next(1) == items{&save});
    auto& first = on.submit(what, "");
    auto& second = on.submit(what, "");
    CHECK(on.plan.blocked() == 0);
    CHECK(on.plan.next(1) == items{&first});
    CHECK(on.plan.next(1) == items{&second});
    on.finish({&first, &second});
    CHECK(first.state == status::outside);
}

TEST_CASE("a batch is sorted by agent, then session", "[planner]") {
    std::deque<item> all;
    planner plan(limits(100));
    for (const auto& [agent, session] : std::vector<std::pair<std::string_view, std::string_view>>{
             {"b", "1"}, {"a", "2"}, {"B", "9"}, {"a", "10"}, {"ab", "0"}, {"a", ""}}) {
        auto& made = all.emplace_back();
        made.type = type::save;
        made.agent_id = agent;
        made.session_id = session;
        plan.submit(made);
    }
    CHECK(plan.next(1) == items{&all[2], &all[5], &all[3], &all[1], &all[4], &all[0]});
}

TEST_CASE("a burst is split over the connections, not into crumbs", "[planner]") {
    struct split {
        std::size_t waiting, idle, max_operations, expected;
    };
    for (const auto& one : std::vector<split>{
             {100, 1, 100, 100},
             {100, 0, 100, 100},
             {100, 4, 100, 25},
             {101, 4, 100, 26}, // rounded up
             {100, 50, 100, planner::smallest_share},
             {5, 4, 100, 5},
             {100, 2, 30, 30},
             {100, 50, 3, 3},
             {100, 50, 1, 1},
         }) {
        CAPTURE(one.waiting, one.idle, one.max_operations);
        bench on(limits(one.max_operations));
        on.submit_many(type::save, one.waiting);
        CHECK(on.plan.next(one.idle).size() == one.expected);
    }
}

TEST_CASE("batches keep to their share of what waits and what is under way", "[planner]") {
    bench on(limits(100));
    const auto all = on.submit_many(type::save, 200);
    const auto first = on.plan.next(4);
    CHECK(first.size() == 50);
    CHECK(on.plan.next(4).size() == 50); // not a quarter of what is left
    CHECK(on.plan.share(4) == 50);
    CHECK(on.plan.share(8) == 25);
    CHECK(on.plan.share(100) == planner::smallest_share);
    CHECK(on.plan.share(1) == 100); // the cap
    on.finish(first);
    CHECK(on.plan.share(4) == 38); // 100 wait, 50 are under way
}

TEST_CASE("without batching every operation travels alone", "[planner]") {
    auto none = limits(100);
    none.enabled = false;
    bench on(none);
    const auto all = on.submit_many(type::save, 3);
    for (auto* each : all)
        CHECK(on.plan.next(1) == items{each});
    CHECK(on.plan.next(1).empty());
}

TEST_CASE("what was not sent can be withdrawn", "[planner]") {
    bench on;

    SECTION("ready: the next for its key may go") {
        auto& first = on.submit(type::save, "k");
        auto& second = on.submit(type::save, "k");
        CHECK(on.plan.withdraw(first));
        CHECK(first.state == status::outside);
        CHECK(on.plan.next(1) == items{&second});
    }
    SECTION("blocked: it never goes") {
        auto& first = on.submit(type::save, "k");
        auto& second = on.submit(type::save, "k");
        auto& third = on.submit(type::save, "k");
        CHECK(on.plan.withdraw(second));
        CHECK(second.state == status::outside);
        CHECK(on.plan.blocked() == 1);
        REQUIRE(on.plan.next(1) == items{&first});
        on.plan.finished(first);
        CHECK(on.plan.next(1) == items{&third});
    }
    SECTION("a blocked write: the reads behind it join the reads before it") {
        auto& before = on.submit(type::load, "k");
        auto& write = on.submit(type::save, "k");
        auto& after = on.submit(type::load, "k");
        REQUIRE(on.plan.next(1) == items{&before});
        CHECK(on.plan.withdraw(write));
        CHECK(on.plan.next(1) == items{&after});
    }
    SECTION("a heavy one and one without a key") {
        auto& heavy = on.submit(type::save, "k", 1'000'000);
        auto& list = on.submit(type::list, "");
        CHECK(on.plan.withdraw(heavy));
        CHECK(on.plan.withdraw(list));
        CHECK(on.plan.next(1).empty());
        CHECK(on.plan.ready() == 0);
    }
    SECTION("withdrawn, it can be submitted again, as the youngest") {
        auto& first = on.submit(type::save, "k");
        auto& second = on.submit(type::save, "k");
        REQUIRE(on.plan.withdraw(first));
        on.plan.submit(first);
        REQUIRE(on.plan.next(1) == items{&second});
        CHECK(first.state == status::blocked);
        on.plan.finished(second);
        CHECK(on.plan.next(1) == items{&first});
    }
}

TEST_CASE("what was sent, is over or never came cannot be withdrawn", "[planner]") {
    bench on;
    auto& one = on.submit(type::save, "k");
    auto& behind = on.submit(type::save, "k");
    REQUIRE(on.plan.next(1) == items{&one});
    CHECK_FALSE(on.plan.withdraw(one));
    CHECK(one.state == status::sent);
    CHECK(behind.state == status::blocked);
    on.plan.finished(one);
    CHECK_FALSE(on.plan.withdraw(one));
    CHECK(on.plan.ready() == 1);
    item stranger;
    CHECK_FALSE(on.plan.withdraw(stranger));
}

TEST_CASE("an operation sent again keeps its age and its key", "[planner]") {
    bench on;
    auto& first = on.submit(type::save, "k");
    auto& older = on.submit(type::save, "l");
    auto& behind = on.submit(type::save, "k");
    REQUIRE(on.plan.next(1) == items{&first, &older});
    auto& younger = on.submit(type::load, "m");
    const bool in_order = GENERATE(false, true); // they come back in any order
    const bool alone = GENERATE(false, true);
    first.how = older.how = alone ? manner::alone : manner::shared;
    on.plan.again(in_order ? first : older);
    on.plan.again(in_order ? older : first);
    CHECK(first.state == status::ready);
    CHECK(behind.state == status::blocked);
    CHECK(on.plan.ready() == 3);
    if (alone) {
        CHECK(on.plan.next(1) == items{&first});
        CHECK(on.plan.next(1) == items{&older});
    } else {
        CHECK(on.plan.next(1) == items{&first, &older});
    }
    CHECK(on.plan.next(1) == items{&younger});
    CHECK(on.plan.next(1).empty());
    on.plan.finished(first);
    CHECK(on.plan.next(1) == items{&behind});
}

TEST_CASE("waiting to be sent again, an operation can be withdrawn", "[planner]") {
    bench on;
    auto& first = on.submit(type::save, "k");
    auto& behind = on.submit(type::save, "k");
    REQUIRE(on.plan.next(1) == items{&first});
    on.plan.again(first);
    CHECK(on.plan.withdraw(first));
    CHECK(on.plan.next(1) == items{&behind});
}

TEST_CASE("a probe takes over the key of the write that met a conflict", "[planner]") {
    bench on;
    auto& write = on.submit(type::replace, "k");
    auto& read = on.submit(type::load, "k");
    auto& second = on.submit(type::save, "k");
    REQUIRE(on.plan.next(1) == items{&write});
    write.type = type::probe;
    on.plan.again(write);
    CHECK(read.state == status::blocked);

    SECTION("and gives it back at its end") {
        REQUIRE(on.plan.next(1) == items{&write});
        CHECK(on.plan.next(1).empty());
        on.plan.finished(write);
    }
    SECTION("and gives it back when it is withdrawn") {
        REQUIRE(on.plan.withdraw(write));
    }
    REQUIRE(on.plan.next(1) == items{&read});
    on.plan.finished(read);
    CHECK(on.plan.next(1) == items{&second});
}

TEST_CASE("probes of several keys share a batch", "[planner]") {
    bench on;
    const auto writes = on.submit_many(type::create, 3);
    REQUIRE(on.plan.next(1) == writes);
    for (auto* each : writes) {
        each->type = type::probe;
        on.plan.again(*each);
    }
    CHECK(on.plan.next(1) == writes);
}

TEST_CASE("an operation marked alone shares with nobody", "[planner]") {
    bench on;
    auto& a = on.submit(type::save, "a");
    auto& b = on.submit(type::save, "b", 10, true);
    auto& c = on.submit(type::save, "c");
    auto& d = on.submit(type::save, "d");
    CHECK(on.plan.next(1) == items{&a, &c, &d}); // nor does it divide the others
    CHECK(on.plan.next(1) == items{&b});
}

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

namespace {

/// Drives a planner at random and checks each batch against what was submitted.
class random_run {
public:
    random_run(unsigned seed, const batch_config& with) : random_(seed), limits_(with), plan_(with) {}

    void run(int steps) {
        for (int i = 0; i < steps; ++i)
            step();
        while (!live_.empty()) {
            // While nothing is under way, whatever waits must find its turn.
            if (sent_.empty()) REQUIRE(plan_.ready() > 0);
            take(1);
            while (!sent_.empty())
                finish(sent_.begin());
        }
        CHECK(plan_.ready() == 0);
        CHECK(plan_.blocked() == 0);
        CHECK(plan_.next(1).empty());
    }

private:
    struct expectation {
        bool write = false; ///< as submitted: a probe keeps the rights of its write
        std::size_t due = 1;
        std::size_t came = 0;
    };
    using live_map = std::map<item*, expectation>;
    // By age rather than by address: a seed gives the same run every time.
    struct older {
        bool operator()(const item* a, const item* b) const { return a->order < b->order; }
    };
    using sent_set = std::set<item*, older>;

    std::size_t below(std::size_t limit) {
        return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
    }

    void step() {
        const auto dice = below(100);
        if (dice < 45 && live_.size() < 60)
            submit();
        else if (dice < 55)
            withdraw();
        else if (dice < 75)
            take(below(4));
        else if (!sent_.empty()) {
            auto at = sent_.begin();
            std::advance(at, static_cast<std::ptrdiff_t>(below(sent_.size())));
            if (dice < 95)
                finish(at);
            else
                again(at);
        }
        REQUIRE(plan_.ready() + plan_.blocked() + sent_.size() == live_.size());
    }

    void submit() {
        static constexpr std::array<std::string_view, 3> ids{"a", "b", "c"};
        static constexpr std::array types{type::save, type::save, type::create, type::replace, type::load,
                                          type::load, type::load, type::erase,  type::list,    type::health};
        auto& made = items_.emplace_back();
        made.type = types[below(types.size())];
        made.agent_id = ids[below(2)];
        made.session_id = ids[below(ids.size())];
        made.key_hash = hash_key(made.agent_id, made.session_id);
        made.bytes = below(20) == 0 ? limits_.max_bytes * 2 : below(limits_.max_bytes / 6);
        made.how = below(20) == 0 ? manner::alone : manner::shared;
        live_[&made].write = made.exclusive = made.type->writes;
        plan_.submit(made);
        REQUIRE(made.state != status::outside);
    }

    void withdraw() {
        if (items_.empty()) return;
        auto& one = items_[items_.size() - 1 - below(std::min<std::size_t>(items_.size(), 80))];
        const bool here = live_.count(&one) > 0 && sent_.count(&one) == 0;
        REQUIRE(plan_.withdraw(one) == here);
        if (here) live_.erase(&one);
    }

    void take(std::size_t idle) {
        const bool some = plan_.ready() > 0;
        const auto batch = plan_.next(idle);
        REQUIRE(batch.empty() != some);
        REQUIRE(batch.size() <= limits_.max_operations);
        std::size_t bytes = 0;
        for (auto* each : batch) {
            REQUIRE(each->state == status::sent);
            REQUIRE(each->type == batch.front()->type);
            if (batch.size() > 1) {
                REQUIRE(each->type->keyed);
                REQUIRE(each->how == manner::shared);
            }
            REQUIRE(live_.count(each) == 1);
            REQUIRE(sent_.insert(each).second);
            auto& expected = live_[each];
            REQUIRE(++expected.came == expected.due);
            bytes += each->bytes;
        }
        if (batch.size() > 1) REQUIRE(bytes <= limits_.max_bytes);
        for (std::size_t i = 1; i < batch.size(); ++i) {
            const auto before = std::pair(batch[i - 1]->agent_id, batch[i - 1]->session_id);
            const auto after = std::pair(batch[i]->agent_id, batch[i]->session_id);
            REQUIRE(before <= after);
            if (batch[i]->type->writes) REQUIRE(before != after);
        }
        for (auto* each : batch)
            REQUIRE(nothing_overtaken(*each));
    }

    /// Everything older for the key is over, except reads before a read.
    bool nothing_overtaken(const item& one) {
        if (!one.type->keyed) return true;
        const bool write = live_[const_cast<item*>(&one)].write;
        return std::none_of(live_.begin(), live_.end(), [&](const auto& each) {
            const auto& [other, expected] = each;
            return other->order < one.order && other->type->keyed && other->agent_id == one.agent_id &&
                   other->session_id == one.session_id && (write || expected.write);
        });
    }

    void finish(sent_set::iterator at) {
        plan_.finished(**at);
        REQUIRE((*at)->state == status::outside);
        live_.erase(*at);
        sent_.erase(at);
    }

    void again(sent_set::iterator at) {
        auto& one = **at;
        sent_.erase(at);
        ++live_[&one].due;
        if (one.type->writes && below(2) == 0)
            one.type = type::probe;
        else
            one.how = manner::alone;
        plan_.again(one);
    }

    std::mt19937 random_;
    batch_config limits_;
    std::deque<item> items_;
    planner plan_;
    live_map live_;
    sent_set sent_;
};

} // namespace

TEST_CASE("whatever happens, each operation comes once, in its key's order, within the caps", "[planner]") {
    const auto seed = GENERATE(range(1U, 9U));
    CAPTURE(seed);
    auto with = limits(1 + seed % 5 * 3, 2000);
    with.enabled = seed != 8;
    random_run(seed, with).run(2500);
}
