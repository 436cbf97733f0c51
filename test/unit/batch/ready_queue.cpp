#include "batch/ready_queue.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <random>
#include <vector>

using pgstate::batch::item;
using pgstate::batch::ready_queue;

TEST_CASE("a ready queue gives the oldest first, in whatever order they came", "[planner]") {
    std::minstd_rand random(7);
    for (int round = 0; round < 50; ++round) {
        CAPTURE(round);
        std::deque<item> items(200);
        std::vector<item*> coming;
        for (std::size_t i = 0; i < items.size(); ++i) {
            items[i].order = i + 1;
            items[i].passed_over = random() % 3 == 0;
            coming.push_back(&items[i]);
        }
        // Nearly in order, as they come in truth, or not at all.
        if (round % 2 == 0)
            for (std::size_t i = 0; i + 10 < coming.size(); i += 1 + random() % 20)
                std::swap(coming[i], coming[i + random() % 10]);
        else
            std::shuffle(coming.begin(), coming.end(), random);

        ready_queue queue;
        std::vector<std::uint64_t> expected;
        std::vector<std::uint64_t> taken;
        for (auto* each : coming) {
            queue.add(*each);
            if (random() % 8 == 0) {
                queue.erase(*each);
                continue;
            }
            expected.push_back(each->order);
        }
        CHECK(queue.size() == expected.size());
        std::sort(expected.begin(), expected.end());
        while (!queue.empty()) {
            taken.push_back(queue.front().order);
            queue.pop_front();
        }
        CHECK(taken == expected);
    }
}

TEST_CASE("a ready queue also gives first those that came one by one and not all at once", "[planner]") {
    using first = ready_queue::first;
    std::deque<item> items(6);
    for (std::size_t i = 0; i < items.size(); ++i)
        items[i].order = i + 1;
    ready_queue queue;
    queue.add(items[2]);
    queue.add(items[0]); // out of turn
    queue.add(items[3]);
    queue.add(items[1]); // out of turn
    items[4].passed_over = true;
    queue.add(items[4]);
    queue.add(items[5]);
    CHECK(queue.size() == 6);
    std::vector<std::uint64_t> taken;
    for (const auto which :
         {first::in_turn, first::oldest, first::in_turn, first::in_turn, first::oldest, first::in_turn}) {
        taken.push_back(queue.front(which).order);
        queue.pop_front(which);
    }
    CHECK(taken == std::vector<std::uint64_t>{3, 1, 4, 6, 2, 5});
    CHECK(queue.empty());
}
