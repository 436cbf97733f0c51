// A store that is watched, used by several threads at once.

#include "concurrency/threads.hpp"
#include "pgstate/pgstate.hpp"
#include "support/recorded.hpp"
#include "support/test_server.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <numeric>
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

    boost::asio::io_context context;
    auto guard = boost::asio::make_work_guard(context);
    std::vector<std::thread> runners;
    for (int i = 0; i < 3; ++i)
        runners.emplace_back([&] { context.run(); });
    constexpr int threads = 4;
    constexpr int each = 60;
    {
        auto store =
            pgstate::postgres_store::open(context.get_executor(), config, boost::asio::use_future).get();
        std::vector<std::thread> callers;
        std::atomic<bool> over{false};
        std::thread scraper([&] { // while the store is at work
            while (!over) {
                metrics->read("pgstate.queue.depth");
                metrics->read("db.client.connection.pending_requests");
                std::this_thread::yield();
            }
        });
        for (int who = 0; who < threads; ++who)
            callers.emplace_back([&, who] {
                std::vector<std::future<pgstate::saved>> saves;
                std::vector<std::future<std::optional<pgstate::agent_state>>> loads;
                for (int i = 0; i < each; ++i) {
                    const auto session = std::to_string(i);
                    const pgstate::agent_state state("agent-" + std::to_string(who % 2), session);
                    saves.push_back(store.save(state, boost::asio::use_future));
                    loads.push_back(store.load(state.agent_id, session, boost::asio::use_future));
                }
                for (auto& one : saves)
                    one.get();
                for (auto& one : loads)
                    one.get();
                store
                    .transaction([](pgstate::transaction& tx) { tx.load("agent-0", "0"); },
                                 boost::asio::use_future)
                    .get();
            });
        for (auto& one : callers)
            one.join();
        over = true;
        scraper.join();
        store.close(boost::asio::use_future).get();
    }
    guard.reset();
    for (auto& one : runners)
        one.join();

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
