// Stores that sweep while several threads use them, and that end at any moment.

#include "concurrency/threads.hpp"
#include "pgstate/pgstate.hpp"
#include "support/test_server.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <catch2/catch_test_macros.hpp>
#include <pqxx/connection>
#include <pqxx/nontransaction>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

pgstate::postgres_store open_sweeping(asio::io_context& context, const std::string& database) {
    pgstate::config settings;
    settings.connection_string = database;
    settings.pool.max_conns = 3;
    settings.tuning.batch.shards = 2;
    settings.sweep = {.period = 100ms, .batch = 20};
    return pgstate::postgres_store::open(context.get_executor(), settings, asio::use_future).get();
}

void add_expired(pqxx::connection& on, int round) {
    pqxx::nontransaction(on).exec(
        "INSERT INTO agent_states (agent_id, session_id, state, expires_at) SELECT 'old', '" +
        std::to_string(round) +
        "-' || i, '{}', now() - interval '1 second' FROM "
        "generate_series(1, 200) i");
}

/// Saves and loads until it is told to stop, one operation after the other; closed is an end as well.
struct sweep_load {
    pgstate::postgres_store& store;
    std::string name;
    tally& all;
    static inline std::atomic<bool> stop{false};

    void start() {
        all.started();
        step(1);
    }
    void step(int round) {
        if (stop) return all.done();
        agent_state state("load", name + std::to_string(round % 5));
        const pgstate::save_options options{.ttl = std::chrono::milliseconds(round % 3 == 0 ? 1 : 60'000)};
        store.save(state, options, as_result([this, round](pgstate::result<pgstate::saved> saved) {
                       if (saved) return step(round + 1);
                       if (saved.error() != errc::closed) all.wrong(saved.error().what());
                       all.done();
                   }));
    }
};

} // namespace

TEST_CASE("two stores sweep one table under load from several threads", "[concurrency][sweep]") {
    const auto database = fresh_database();
    asio::io_context context;
    tally all;
    std::uint64_t swept = 0;
    {
        const running threads(context, 4);
        auto one = open_sweeping(context, database);
        auto other = open_sweeping(context, database);
        pqxx::connection sql(database);
        add_expired(sql, 0);
        sweep_load::stop = false;
        std::deque<sweep_load> loads;
        for (int i = 0; i < 8; ++i)
            loads.push_back({i % 2 ? one : other, "s" + std::to_string(i), all});
        for (auto& each : loads)
            each.start();
        const auto deadline = std::chrono::steady_clock::now() + patience;
        const auto left = [&] {
            return pqxx::nontransaction(sql)
                .exec("SELECT count(*) FROM agent_states WHERE agent_id = 'old'")[0][0]
                .as<int>();
        };
        while (left() > 0) {
            REQUIRE(std::chrono::steady_clock::now() < deadline);
            std::this_thread::sleep_for(5ms);
        }
        sweep_load::stop = true;
        CHECK(all.wait());
        swept = one.stats().swept + other.stats().swept;
        one.close(asio::use_future).get();
        other.close(asio::use_future).get();
    }
    all.check();
    CHECK(swept > 0);
}

TEST_CASE("a store that sweeps is closed, moved or destroyed at any moment", "[concurrency][sweep]") {
    const auto database = fresh_database();
    std::minstd_rand random(7);
    asio::io_context context;
    tally all;
    {
        const running threads(context, 3);
        { const auto makes_the_table = open_sweeping(context, database); }
        pqxx::connection sql(database);
        for (int round = 0; round < 12; ++round) {
            add_expired(sql, round);
            std::optional<pgstate::postgres_store> store(open_sweeping(context, database));
            sweep_load::stop = false;
            std::deque<sweep_load> loads;
            for (int i = 0; i < 4; ++i)
                loads.push_back({*store, "s" + std::to_string(i), all});
            for (auto& each : loads)
                each.start();
            // Somewhere in the first periods: whatever the moment, it must end well.
            std::this_thread::sleep_for(std::chrono::milliseconds(random() % 200));
            if (round % 3 == 0) {
                store->close(asio::use_future).get();
                CHECK(all.wait());
            }
            sweep_load::stop = true;
            if (round % 3 != 0) CHECK(all.wait()); // the handle must not go while others call it
            std::optional<pgstate::postgres_store> moved;
            if (round % 3 == 1) moved.emplace(std::move(*store));
            store.reset();
        }
    }
    all.check();
}
