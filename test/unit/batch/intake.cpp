#include "batch/intake.hpp"

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace {

using pgstate::batch::intake;
using pgstate::batch::operation;
using pgstate::batch::operation_ptr;

/// An operation that says when it is gone.
class counted final : public operation {
public:
    counted(std::atomic<int>& alive, std::size_t number) : alive_(alive) {
        ++alive_;
        bytes = number;
    }
    ~counted() override { --alive_; }
    void complete(operation_ptr) override {}
    void post_completion(const boost::asio::any_io_executor&) override {}

private:
    std::atomic<int>& alive_;
};

operation_ptr make(std::atomic<int>& alive, std::size_t number) {
    return operation_ptr(new counted(alive, number));
}

std::vector<std::size_t> numbers(intake::list list) {
    std::vector<std::size_t> found;
    while (const auto each = list.pop())
        found.push_back(each->bytes);
    return found;
}

} // namespace

TEST_CASE("an intake gives what was added, in order, and says when somebody has to be told", "[intake]") {
    std::atomic<int> alive{0};
    intake in;
    CHECK(in.take().empty());
    for (const std::size_t i : {1U, 2U, 3U}) {
        auto what = make(alive, i);
        CHECK(in.add(what) == (i == 1 ? intake::added::first : intake::added::another));
        CHECK(what == nullptr);
    }
    CHECK(numbers(in.take()) == std::vector<std::size_t>{1, 2, 3});
    auto what = make(alive, 4);
    CHECK(in.add(what) == intake::added::first);
    CHECK(alive == 1);
    CHECK(numbers(in.take()) == std::vector<std::size_t>{4});
    CHECK(alive == 0);
}

TEST_CASE("a closed intake gives what it had accepted and refuses the rest", "[intake]") {
    std::atomic<int> alive{0};
    intake in;
    auto accepted = make(alive, 1);
    in.add(accepted);
    auto last = in.close();
    auto refused = make(alive, 2);
    CHECK(in.add(refused) == intake::added::refused);
    CHECK(refused != nullptr);
    CHECK(in.take().empty());
    CHECK(in.close().empty());
    CHECK(numbers(std::move(last)) == std::vector<std::size_t>{1});
}

TEST_CASE("an intake frees what nobody took", "[intake]") {
    std::atomic<int> alive{0};
    {
        intake in;
        for (const std::size_t i : {1U, 2U, 3U}) {
            auto what = make(alive, i);
            in.add(what);
        }
        const auto dropped = in.take();
        auto what = make(alive, 4);
        in.add(what);
        CHECK(alive == 4);
    }
    CHECK(alive == 0);
}

TEST_CASE("threads that add to an intake lose nothing, and each keeps its order", "[intake]") {
    constexpr std::size_t threads = 3;
    constexpr std::size_t each_adds = 5000;
    std::atomic<int> alive{0};
    std::atomic<std::size_t> told{0};
    intake in;
    std::vector<std::size_t> last(threads, 0);
    std::size_t taken = 0;
    const auto drain = [&](intake::list list) {
        while (const auto each = list.pop()) {
            const auto thread = each->bytes / (each_adds + 1);
            const auto number = each->bytes % (each_adds + 1);
            REQUIRE(number == last[thread] + 1);
            last[thread] = number;
            ++taken;
        }
    };
    {
        std::vector<std::jthread> adding;
        for (std::size_t t = 0; t < threads; ++t)
            adding.emplace_back([&, t] {
                for (std::size_t i = 1; i <= each_adds; ++i) {
                    auto what = make(alive, t * (each_adds + 1) + i);
                    if (in.add(what) == intake::added::first) ++told;
                }
            });
        // Only when it was told: an addition that tells nobody must be found by the one that was.
        std::size_t heard = 0;
        while (taken < threads * each_adds) {
            if (told == heard) continue;
            ++heard;
            drain(in.take());
        }
        CHECK(told == heard);
    }
    CHECK(taken == threads * each_adds);
    CHECK(alive == 0);
}
