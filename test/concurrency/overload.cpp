// Limits that many threads run into at once.

#include "concurrency/threads.hpp"
#include "pgstate/postgres_store.hpp"
#include "support/test_server.hpp"

#include <catch2/catch_test_macros.hpp>
#include <pqxx/connection>
#include <pqxx/transaction>

#include <atomic>
#include <cstddef>
#include <exception>
#include <string>

using namespace pgstate_test;
using pgstate::errc;

TEST_CASE("exactly the limit is accepted from many threads at once", "[concurrency][overload]") {
    constexpr std::size_t limit = 1000;
    constexpr std::size_t callers = 8;
    constexpr std::size_t calls = 500;
    asio::io_context context;
    pgstate::config settings;
    settings.connection_string = fresh_database() + "&pool_max_conns=4";
    settings.tuning.batch.shards = 2; // the limit is that of the store
    settings.pending.max_operations = limit;
    auto store = wait(context, pgstate::postgres_store::open(context.get_executor(), settings));

    pqxx::connection other(settings.connection_string.substr(0, settings.connection_string.find("&pool")));
    tally all;
    tally refused;
    std::atomic<std::size_t> done{0};
    const auto flood = [&] {
        at_once threads(callers, [&](std::size_t who) {
            for (std::size_t i = 0; i < calls; ++i)
                store.load("agent-" + std::to_string(who), std::to_string(i),
                           [&](std::exception_ptr failure, auto&&) {
                               if (!failure)
                                   ++done;
                               else if (pgstate::to_error(failure) == errc::overloaded)
                                   refused.done();
                               else
                                   all.wrong(failure);
                               all.done();
                           });
        });
    };

    running threads(context, 2);
    for (std::size_t round = 1; round <= 3; ++round) { // what was given back is there for the next
        pqxx::work lock(other);
        lock.exec("LOCK TABLE agent_states IN ACCESS EXCLUSIVE MODE");
        all.started(callers * calls);
        flood();
        CHECK(refused.wait_for(round * (callers * calls - limit)));
        CHECK(store.stats().pending == limit);
        lock.commit();
        CHECK(all.wait());
        CHECK(done == round * limit);
        CHECK(store.stats().pending == 0);
    }
    all.check();
}
