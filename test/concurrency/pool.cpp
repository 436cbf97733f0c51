#include "concurrency/threads.hpp"
#include "pgstate/connection_pool.hpp"
#include "support/test_server.hpp"

#include <catch2/catch_test_macros.hpp>
#include <pqxx/pqxx>

#include <atomic>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <string>

using namespace pgstate_test;

namespace {

constexpr std::size_t pool_users = 8;
constexpr std::size_t calls = 20;
constexpr std::size_t most = 3;

/// How many are inside at once, and the most that ever were.
struct user_count {
    std::atomic<std::size_t> inside{0};
    std::atomic<std::size_t> peak{0};

    void enter() {
        const std::size_t now = ++inside;
        std::size_t seen = peak;
        while (seen < now && !peak.compare_exchange_weak(seen, now)) {}
    }
};

/// All callers use the pool at once, while one more thread calls `meddle` each time some more calls are over.
void use_pool(const std::function<void(pgstate::connection_pool&, tally&)>& meddle) {
    asio::io_context context;
    tally all;
    user_count users;
    std::deque<std::atomic<int>> handled(pool_users * calls);
    const pgstate::config settings{.connection_string =
                                       fresh_database() + "&pool_max_conns=" + std::to_string(most)};
    pgstate::connection_pool pool(context.get_executor(), settings);
    all.started(handled.size());
    from_threads(context, 2, pool_users + 1, all, [&](std::size_t who) {
        if (who == pool_users) {
            for (std::size_t over = 0; over < handled.size(); over += 8) {
                if (!all.wait_for(over)) all.wrong("the callers got stuck");
                meddle(pool, all);
            }
            return;
        }
        for (std::size_t i = 0; i < calls; ++i) {
            const int wanted = static_cast<int>(who * calls + i);
            std::atomic<int>& mine = handled[who * calls + i];
            pool.with_connection(
                [&users, wanted](pqxx::connection& connection) {
                    users.enter();
                    pqxx::work work(connection);
                    const auto got = work.query_value<int>("SELECT " + std::to_string(wanted));
                    work.commit();
                    --users.inside;
                    return got;
                },
                [&mine, &all, wanted](std::exception_ptr failure, int got) {
                    ++mine;
                    if (!failure && got != wanted) all.wrong("a caller was given another's value");
                    all.handler()(failure);
                });
        }
    });
    const auto stats = pool.stats();
    CHECK(stats.acquire_count == handled.size());
    CHECK(stats.waiters == 0);
    wait(context, pool.close());
    CHECK(pool.stats().total_conns == 0);
    for (const auto& times : handled)
        CHECK(times == 1);
    CHECK(users.inside == 0);
    CHECK(users.peak <= most);
    CHECK(users.peak > 1);
}

} // namespace

TEST_CASE("a pool lends no more connections than it may, and says how many", "[concurrency]") {
    use_pool([](pgstate::connection_pool& pool, tally& all) {
        const auto stats = pool.stats();
        if (stats.max_conns != most || stats.total_conns > most)
            all.wrong("total_conns is " + std::to_string(stats.total_conns));
        if (stats.total_conns != stats.acquired_conns + stats.constructing_conns + stats.idle_conns)
            all.wrong("the numbers of stats() do not add up");
    });
}

TEST_CASE("a pool is reset while it is used", "[concurrency]") {
    use_pool([](pgstate::connection_pool& pool, tally&) { pool.reset(); });
}
