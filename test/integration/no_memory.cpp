// A connection that is given back where there is no memory.

#include "config/resolved.hpp"
#include "integration/counted_new.hpp"
#include "integration/store_support.hpp"
#include "pool/core.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <memory>
#include <new>
#include <utility>

namespace {

using namespace pgstate_test;
using namespace std::chrono_literals;
namespace pool = pgstate::pool;

/// Somebody who wants a connection, and needs memory to take it.
struct customer final : pool::waiter {
    void acquired(pool::lease& got) override {
        auto taken = std::make_unique<pool::lease>();
        *taken = std::move(got);
        held = std::move(taken);
        ++times;
    }
    void failed(const pgstate::error& why) override { refused = why.code(); }

    std::unique_ptr<pool::lease> held;
    std::error_code refused;
    int times = 0;
};

} // namespace

TEST_CASE("a connection is given back wherever memory runs out, and whoever waits gets it later",
          "[pool][no_memory]") {
    const bool checked = GENERATE(false, true);
    auto settings = config_for(fresh_database() + "&pool_max_conns=1&pool_health_check_period=20ms");
    if (checked) settings.pool.before_acquire = [](pqxx::connection&) { return true; };
    const bool broken = GENERATE(false, true);
    bool failed = true;
    for (std::size_t allowed = 0; failed; ++allowed) {
        asio::io_context context;
        const auto core = pool::core::create(context.get_executor(), pgstate::settings::resolve(settings));
        const auto first = std::make_shared<customer>();
        const auto second = std::make_shared<customer>();
        const auto third = std::make_shared<customer>();
        core->acquire(first);
        poll_until(context, [&] { return first->held != nullptr; });
        core->acquire(second);
        core->acquire(third);
        if (broken) (*first->held)->abandon("as a test wants it");
        {
            const failing_allocations none(allowed);
            first->held.reset();
            failed = none.failed() > 0;
        }
        INFO(allowed << " allocations succeeded");
        poll_until(context, [&] { return second->held != nullptr; });
        CHECK_FALSE(third->held);
        CHECK(core->stats().acquired_conns == 1);
        second->held.reset();
        poll_until(context, [&] { return third->held != nullptr; });
        bool closed = false;
        core->close([&] { closed = true; });
        {
            const failing_allocations none(allowed);
            third->held.reset();
        }
        poll_until(context, [&] { return closed; });
        for (const auto& each : {first, second, third})
            CHECK(each->times == 1);
        const auto after = core->stats();
        CHECK(after.acquired_conns == 0);
        CHECK(after.waiters == 0);
    }
}
