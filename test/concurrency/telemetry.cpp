// A store that is watched, used by several threads at once.

#include "concurrency/threads.hpp"
#include "pgstate/pgstate.hpp"
#include "support/recorded.hpp"
#include "support/test_server.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <catch2/catch_test_macros.hpp>

#include <future>
#include <memory>
#include <numeric>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

using namespace pgstate_test;

TEST_CASE("a watched store tells of every operation once, whichever threads run it", "[telemetry]") {
    const auto log = std::make_shared<recorded_log>(pgstate::log_level::debug);
    const auto metrics = std::make_shared<recorded_metrics>();
    const auto trace = std::make_shared<recorded_trace>();
    pgstate::config config;
    config.connection_string = fresh_database();
    config.pool.max_conns = 4;
    config.tuning.batch.shards = 2;
    config.logger = log;
    config.metrics = metrics;
    config.tracer = trace;

    constexpr std::size_t threads = 4;
    constexpr std::size_t each = 60;
    asio::io_context context;
    tally callers;
    auto store = wait(context, pgstate::postgres_store::open(context.get_executor(), config));
    std::jthread scraper([&](const std::stop_token& over) { // while the store is at work
        while (!over.stop_requested()) {
            metrics->read("pgstate.queue.depth");
            metrics->read("db.client.connection.pending_requests");
            std::this_thread::yield();
        }
    });
    from_threads(context, 3, threads, callers, [&](std::size_t who) {
        std::vector<std::future<pgstate::saved>> saves;
        std::vector<std::future<std::optional<pgstate::agent_state>>> loads;
        for (std::size_t i = 0; i < each; ++i) {
            const auto session = std::to_string(i);
            const pgstate::agent_state state("agent-" + std::to_string(who % 2), session);
            saves.push_back(store.save(state, asio::use_future));
            loads.push_back(store.load(state.agent_id, session, asio::use_future));
        }
        for (auto& one : saves)
            one.get();
        for (auto& one : loads)
            one.get();
        store.transaction([](pgstate::transaction& tx) { tx.load("agent-0", "0"); }, asio::use_future).get();
    });
    scraper.request_stop();
    scraper.join();
    wait(context, store.close());

    constexpr std::size_t all = threads * each;
    CHECK(metrics->values("db.client.operation.duration{db.operation.name=save}").size() == all);
    CHECK(metrics->values("db.client.operation.duration{db.operation.name=load}").size() == all);
    CHECK(trace->all("pgstate.save").size() == all);
    CHECK(trace->all("pgstate.transaction").size() == threads);
    CHECK(trace->all("pgstate.load").size() == all + threads); // those in the transactions too
    const auto sum_of = [&](const std::string& key) {
        const auto values = metrics->values(key);
        return std::accumulate(values.begin(), values.end(), 0.0);
    };
    // On a busy machine the server may take too long to make a row: then it is sent again.
    CHECK(sum_of("pgstate.batch.size{db.operation.name=save}") ==
          static_cast<double>(all) +
              sum_of("pgstate.retries{db.operation.name=save,pgstate.retry.reason=adapted}"));
}
