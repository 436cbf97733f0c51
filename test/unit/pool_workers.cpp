#include "pool/workers.hpp"
#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>

using namespace std::chrono_literals;
using pgstate::pool::workers;
using pgstate_test::patience;
using workers_clock = std::chrono::steady_clock;

TEST_CASE("a timed job runs once, and not before its time", "[workers]") {
    const auto ran = std::make_shared<std::promise<workers_clock::time_point>>();
    auto when = ran->get_future();
    workers threads(2);
    const auto begin = workers_clock::now();
    threads.after(20ms, [ran] { ran->set_value(workers_clock::now()); }); // a second call would throw
    REQUIRE(when.wait_for(patience) == std::future_status::ready);
    CHECK(when.get() - begin >= 20ms);
}

TEST_CASE("timed jobs run in the order of their times, however they were given", "[workers]") {
    const auto order = std::make_shared<std::promise<int>>();
    auto first = order->get_future();
    const auto taken = std::make_shared<std::atomic<bool>>(false);
    const auto note = [order, taken](int which) {
        if (!taken->exchange(true)) order->set_value(which);
    };
    workers threads(1);
    threads.every(1h, [note] { note(3); });
    threads.after(30min, [note] { note(2); }); // a thread waits for this one already when the next comes
    threads.after(1ms, [note] { note(1); });
    REQUIRE(first.wait_for(patience) == std::future_status::ready);
    CHECK(first.get() == 1);
}

TEST_CASE("a recurring job comes again, beside others", "[workers]") {
    const auto times = std::make_shared<std::atomic<int>>(0);
    const auto thrice = std::make_shared<std::promise<void>>();
    auto done = thrice->get_future();
    workers threads(2);
    threads.every(1h, [] {});
    threads.every(1ms, [times, thrice] {
        if (++*times == 3) thrice->set_value();
    });
    CHECK(done.wait_for(patience) == std::future_status::ready);
}

TEST_CASE("a timed job does not wait for a thread that is busy", "[workers]") {
    const auto release = std::make_shared<std::promise<void>>();
    const auto begun = std::make_shared<std::promise<void>>();
    const auto ran = std::make_shared<std::promise<void>>();
    auto busy = begun->get_future();
    auto timed = ran->get_future();
    workers threads(2);
    threads.after(50ms,
                  [ran] { ran->set_value(); }); // a thread waits for it, and takes the other job instead
    threads.post([begun, wait = release->get_future().share()] {
        begun->set_value();
        wait.wait();
    });
    REQUIRE(busy.wait_for(patience) == std::future_status::ready);
    CHECK(timed.wait_for(patience) == std::future_status::ready);
    release->set_value();
}

TEST_CASE("timed jobs end with their workers", "[workers]") {
    const auto held = std::make_shared<int>(1);
    {
        workers threads(1);
        threads.after(1h, [held] {});
        threads.every(1h, [held] {});
        CHECK(held.use_count() > 1);
    }
    CHECK(held.use_count() == 1);
}
