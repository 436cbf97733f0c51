// What a store makes of more than the server does: it refuses what exceeds its limits, and keeps a flood of one sort from
// starving the others.

#include "integration/store_support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

pgstate::config with_pending(pgstate::pending_config limits) {
    pgstate::config settings;
    settings.pending = limits;
    settings.operation_timeout = std::chrono::milliseconds(0); // what is pending stays so
    return settings;
}

/// What the process has in memory, of which little is the system's.
std::size_t resident_bytes() {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    return pages * 4096;
}

/// How the operations of a flood ended.
struct flood_outcome {
    std::size_t over = 0;
    std::size_t done = 0;
    std::size_t overloaded = 0;

    auto handler() {
        return [this](auto result) {
            ++over;
            if (result)
                ++done;
            else
                overloaded += result.error() == errc::overloaded;
        };
    }
};

} // namespace

TEST_CASE("exactly what may be pending is accepted, and more when that is over", "[overload]") {
    constexpr std::size_t limit = 500;
    opened_store f("&pool_max_conns=2", with_pending({.max_operations = limit}));
    table_lock locked(f.database);
    flood_outcome all;
    for (std::size_t i = 0; i < limit + 100; ++i)
        f.store.load("a", std::to_string(i), as_result(all.handler()));
    run_until(f.context, [&] { return all.over == 100; });
    CHECK(all.overloaded == 100);
    CHECK(f.store.stats().pending == limit);

    // A bulk is as many operations as it has keys, each with its own outcome.
    const std::vector<agent_state> states{agent_state("a", "b"), agent_state("a", "c")};
    const auto outcomes = f.wait(f.store.save_all(states));
    REQUIRE(outcomes.size() == 2);
    for (const auto& each : outcomes) {
        const auto failure = require_failure(each, errc::overloaded);
        CHECK(names(failure, "config.pending.max_operations"));
        CHECK(names(failure, "500"));
    }

    locked.let_go();
    run_until(f.context, [&] { return all.over == limit + 100; });
    CHECK(all.done == limit);
    CHECK(f.store.stats().operations == limit);
    CHECK(f.store.stats().pending == 0);
    const auto state = f.wait(f.store.load("a", "b")); // was refused: it was not saved
    CHECK_FALSE(state.has_value());
    CHECK(f.store.stats().pending_bytes == 0);
}

TEST_CASE("exactly as many bytes may be pending as the limit says", "[overload]") {
    opened_store f("&pool_max_conns=1", with_pending({.max_bytes = mebibyte}));
    table_lock locked(f.database);
    flood_outcome all;
    agent_state state("a", "s");
    state.data["text"] = std::string(100'000, 'x');
    for (int i = 0; i < 20; ++i)
        f.store.save(state, as_result(all.handler()));
    run_until(f.context, [&] { return all.over == 10; });
    CHECK(all.overloaded == 10); // ten of somewhat more than 100,000 bytes fit
    CHECK(f.store.stats().pending_bytes > 1'000'000);
    CHECK(f.store.stats().pending_bytes <= mebibyte);
    locked.let_go();
    run_until(f.context, [&] { return all.over == 20; });
    CHECK(all.done == 10);
    CHECK(f.store.stats().pending_bytes == 0);
}

TEST_CASE("transactions that wait for a connection are pending as well", "[overload]") {
    opened_store f("&pool_max_conns=1", with_pending({.max_operations = 3}));
    table_lock locked(f.database);
    flood_outcome all;
    const auto work = [](pgstate::transaction& tx) { tx.save(agent_state("a", "t")); };
    for (int i = 0; i < 5; ++i)
        f.store.transaction(work, as_result(all.handler()));
    run_until(f.context, [&] { return all.over == 2; });
    CHECK(all.overloaded == 2);
    CHECK(f.store.stats().pending == 3);
    locked.let_go();
    run_until(f.context, [&] { return all.over == 5; });
    CHECK(all.done == 3);
    CHECK(f.store.stats().pending == 0);
}

TEST_CASE("a cancelled operation leaves its place to another", "[overload][cancellation]") {
    opened_store f("&pool_max_conns=1", with_pending({.max_operations = 1}));
    table_lock locked(f.database);
    asio::cancellation_signal stop;
    flood_outcome first;
    flood_outcome second;
    f.store.load("a", "s", as_result(asio::bind_cancellation_slot(stop.slot(), first.handler())));
    stop.emit(asio::cancellation_type::terminal);
    run_until(f.context, [&] { return first.over == 1; });
    f.store.load("a", "s", as_result(second.handler()));
    locked.let_go();
    run_until(f.context, [&] { return second.over == 1; });
    CHECK(second.done == 1);
}

TEST_CASE("a flood against a server that stands still costs no memory", "[overload]") {
    constexpr std::size_t limit = 1000;
    constexpr std::size_t flooding = 100;
#ifdef __SANITIZE_ADDRESS__
    constexpr std::size_t attempts = 200;               // of each: enough for the sanitizer to look at
    constexpr std::size_t most_growth = 400 * mebibyte; // it keeps 256 MiB of what was freed
#else
    constexpr std::size_t attempts = 1000;
    constexpr std::size_t most_growth = 16 * mebibyte;
#endif
    flood_outcome accepted;
    std::size_t refused = 0;
    std::size_t ended = 0;
    std::size_t at_first = 0;
    agent_state state("a", "s"); // outlives the callers, should they not come to their end in time
    state.data["text"] = std::string(500, 'x');
    opened_store f("&pool_max_conns=2", with_pending({.max_operations = limit}));
    table_lock locked(f.database);
    for (std::size_t i = 0; i < limit; ++i)
        f.store.save(state, as_result(accepted.handler()));

    for (std::size_t i = 0; i < flooding; ++i)
        asio::co_spawn(
            f.context,
            [&]() -> asio::awaitable<void> {
                for (std::size_t j = 0; j < attempts; ++j) {
                    const auto result = co_await f.store.save(state, as_result);
                    refused += !result && result.error() == errc::overloaded;
                    if (refused == flooding * attempts / 10) at_first = resident_bytes();
                }
                ++ended;
            },
            asio::detached);
    run_until(f.context, [&] { return ended == flooding; });
    const auto at_last = resident_bytes();
    CHECK(refused == flooding * attempts);
    CHECK(accepted.over == 0);
    CAPTURE(at_first, at_last);
    CHECK(at_last < at_first + most_growth);

    locked.let_go();
    run_until(f.context, [&] { return accepted.over == limit; });
    CHECK(accepted.done == limit);
}

TEST_CASE("a flood of one agent's saves, or of appends to one key, leaves turns to others",
          "[overload][fairness]") {
    auto settings = with_pending({});
    settings.tuning.batch.max_operations = 16;
    opened_store f("&pool_max_conns=1", settings);
    const bool one_key = GENERATE(false, true);
    CAPTURE(one_key);
    const std::size_t flood = one_key ? 400 : 8000; // each append is a statement
    flood_outcome all;
    if (one_key) {
        const agent_state state("flooding", "s");
        f.wait(f.store.save(state));
        const std::vector<pgstate::agent_message> messages{{"user", "hello"}};
        for (std::size_t i = 0; i < flood; ++i)
            f.store.append("flooding", "s", messages, as_result(all.handler()));
    } else {
        for (std::size_t i = 0; i < flood; ++i)
            f.store.save(agent_state("flooding", std::to_string(i)), as_result(all.handler()));
    }
    run_until(f.context, [&] { return all.over > 0; });
    for (int i = 0; i < 5; ++i) {
        const auto before = f.store.stats().statements;
        f.wait(f.store.load("another", "s"));
        CHECK(f.store.stats().statements - before < 30);
    }
    for (int i = 0; i < 5 && !one_key; ++i) {
        const auto before = f.store.stats().statements;
        const agent_state state("another", std::to_string(i));
        f.wait(f.store.save(state));
        CHECK(f.store.stats().statements - before < 30);
    }
    CHECK(all.over < flood / 2);
    CHECK(all.done == all.over);
}

TEST_CASE("counts that stand still do not hold all connections", "[overload][fairness]") {
    // Whoever reads the rows of the agent "slow" waits for a lock that the case holds.
    const auto database = fresh_database();
    pqxx::connection other(database);
    {
        pgstate::config made_with;
        made_with.connection_string = database;
        pqxx::nontransaction sql(other);
        sql.exec(pgstate::postgres_store::schema_sql(made_with));
        sql.exec("ALTER TABLE agent_states RENAME TO real_states");
        sql.exec("CREATE FUNCTION gate() RETURNS boolean VOLATILE LANGUAGE plpgsql AS "
                 "'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN true; END'");
        sql.exec("CREATE VIEW agent_states AS SELECT * FROM real_states WHERE agent_id <> 'slow' OR gate()");
        sql.exec("INSERT INTO real_states (agent_id, session_id, state) VALUES ('slow', 's', '{}'), "
                 "('quick', 's', '{}')");
        sql.exec("SELECT pg_advisory_lock(42)");
    }
    pgstate::config settings;
    settings.connection_string = database;
    settings.schema.migrate = pgstate::migrate_mode::off;
    opened_store f("&pool_max_conns=4", settings);
    flood_outcome counts;
    const pgstate::count_options options{};
    for (int i = 0; i < 1000; ++i)
        f.store.count("slow", options, as_result(counts.handler()));
    pqxx::connection observer(database);
    f.wait_until(observer, "SELECT count(*) = 3 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                           "datname = current_database()");
    for (int i = 0; i < 100; ++i)
        CHECK(f.wait(f.store.load("quick", "s")).has_value());
    CHECK(counts.over == 0);
    pqxx::nontransaction(other).exec("SELECT pg_advisory_unlock(42)");
    run_until(f.context, [&] { return counts.over == 1000; });
    CHECK(counts.done == 1000);
}
