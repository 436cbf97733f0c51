#include "batch/admission.hpp"

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <cstddef>
#include <thread>
#include <utility>
#include <vector>

using pgstate::batch::admission;
using places = std::vector<admission::place>;

namespace {

/// Takes places of `bytes` until there are no more; gives how many there were.
std::size_t fill(admission& in, places& taken, std::size_t bytes) {
    std::size_t count = 0;
    for (auto place = in.enter(bytes); place; place = in.enter(bytes)) {
        taken.push_back(std::move(place));
        ++count;
    }
    return count;
}

} // namespace

TEST_CASE("as many operations are admitted as the limit says, and others when they are over", "[admission]") {
    const auto in = admission::create({.max_operations = 3, .max_bytes = 10'000});
    places taken;
    CHECK(fill(*in, taken, 10) == 3);
    CHECK(in->operations() == 3);
    CHECK(in->bytes() == 30);
    CHECK(
        in->refusal(10) ==
        "3 operations are pending, which config.pending.max_operations allows at most; nothing was sent. Try "
        "again when others have completed, and start fewer at once");
    taken[1].give_back();
    taken[1].give_back(); // once is enough
    CHECK(in->operations() == 2);
    CHECK(in->bytes() == 20);
    CHECK(fill(*in, taken, 0) == 1);
    taken.clear();
    CHECK(in->operations() == 0);
    CHECK(in->bytes() == 0);
}

TEST_CASE("as many bytes are admitted as the limit says", "[admission]") {
    const auto in = admission::create({.max_operations = 1000, .max_bytes = 5000});
    places taken;
    CHECK(fill(*in, taken, 1200) == 4);
    CHECK(
        in->refusal(1200) ==
        "1200 bytes more than those that are pending would exceed the 5000 of config.pending.max_bytes; nothing "
        "was sent. Try again when others have completed, and start fewer at once");
    CHECK(fill(*in, taken, 200) == 1); // to the byte
    CHECK(fill(*in, taken, 1) == 0);
    CHECK(in->operations() == 5);
}

TEST_CASE("what is larger than all that may be pending is admitted when nothing else is", "[admission]") {
    const auto in = admission::create({.max_operations = 10, .max_bytes = 5000});
    {
        const auto small = in->enter(1);
        CHECK_FALSE(in->enter(1'000'000));
    }
    const auto large = in->enter(1'000'000);
    CHECK(large);
    CHECK_FALSE(in->enter(1));
    CHECK(in->enter(0));
}

TEST_CASE("the largest limits are counted without one number running into the other", "[admission]") {
    const auto in = admission::create({.max_operations = pgstate::settings::most_pending_operations,
                                       .max_bytes = pgstate::settings::most_pending_bytes});
    const auto all = in->enter(pgstate::settings::most_pending_bytes);
    CHECK(in->operations() == 1);
    CHECK(in->bytes() == pgstate::settings::most_pending_bytes);
    CHECK_FALSE(in->enter(1));
}

TEST_CASE("a place may be given back after its owner is gone", "[admission]") {
    auto in = admission::create({});
    auto first = in->enter(5);
    auto second = std::move(first);
    CHECK_FALSE(first);
    in.reset();
    second.give_back();
}

TEST_CASE("from any number of threads, exactly the limit is admitted", "[admission]") {
    constexpr std::size_t most = 10'000;
    constexpr std::size_t threads = 4;
    const auto in = admission::create({.max_operations = most, .max_bytes = most * 7});
    std::vector<places> taken(threads);
    std::vector<std::thread> running;
    for (auto& mine : taken)
        running.emplace_back([&in, &mine] { fill(*in, mine, 7); });
    for (auto& each : running)
        each.join();
    std::size_t sum = 0;
    for (const auto& each : taken)
        sum += each.size();
    CHECK(sum == most);
    CHECK(in->operations() == most);
    CHECK(in->bytes() == most * 7);

    // While some come and others go there are never more, and at the end none is lost.
    taken.clear();
    running.clear();
    std::atomic<std::size_t> excesses{0};
    for (std::size_t i = 0; i < threads; ++i)
        running.emplace_back([&] {
            for (std::size_t round = 0; round < 50; ++round) {
                places mine;
                for (std::size_t j = 0; j < most / 3; ++j)
                    mine.push_back(in->enter(7));
                if (in->operations() > most || in->bytes() > most * 7) ++excesses;
            }
        });
    for (auto& each : running)
        each.join();
    CHECK(excesses == 0);
    CHECK(in->operations() == 0);
    CHECK(in->bytes() == 0);
}
