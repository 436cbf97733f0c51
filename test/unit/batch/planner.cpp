#include "unit/batch/planner_support.hpp"

#include <catch2/generators/catch_generators.hpp>

#include <cstddef>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace planner_cases {

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

} // namespace planner_cases
