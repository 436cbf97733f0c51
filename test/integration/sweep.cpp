// The sweeper: what it deletes, what it leaves, and that it gets in nobody's way. The table is filled and looked at with
// SQL of its own, as a store does not show what has expired.

#include "integration/store_support.hpp"
#include "support/recorded.hpp"

#include <boost/asio/co_spawn.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::log_level;

constexpr auto sweep_period = 100ms;

pgstate::config sweeping(std::size_t batch = 500) {
    pgstate::config settings;
    settings.sweep = {.period = sweep_period, .batch = batch};
    return settings;
}

/// A database with the table in it, and a look at it from outside.
class swept_table {
public:
    swept_table() : database(fresh_database()), sql_(database) {
        const opened_store makes_the_table({}, config_for(database));
    }

    pqxx::result exec(const std::string& sql) { return pqxx::nontransaction(sql_).exec(sql); }
    std::int64_t number(const std::string& query) { return exec(query)[0][0].as<std::int64_t>(); }
    std::int64_t rows() { return number("SELECT count(*) FROM agent_states"); }

    /// \param expiry  an expression; i is the row's number
    void fill(const std::string& agent, int rows, const std::string& expiry) {
        exec("INSERT INTO agent_states (agent_id, session_id, state, expires_at) SELECT '" + agent +
             "', 'session-' || i, '{}', " + expiry + " FROM generate_series(1, " + std::to_string(rows) +
             ") i");
    }
    void fill_expired(int rows) { fill("expired", rows, "now() - i * interval '1 second'"); }

    /// With what the fixture's own connections use.
    pgstate::config on(pgstate::config settings) const {
        settings.connection_string = database;
        return settings;
    }
    /// Runs `context` until `sql` is true.
    void wait_until(asio::io_context& context, const std::string& sql) {
        run(context, [&]() -> asio::awaitable<void> { co_await until(context, sql_, sql); });
    }
    void wait_until_rows(asio::io_context& context, int rows) {
        wait_until(context, "SELECT count(*) = " + std::to_string(rows) + " FROM agent_states");
    }

    const std::string database;

private:
    pqxx::connection sql_;
};

template <class Predicate>
void poll_until(asio::io_context& context, Predicate done) {
    run(context, [&]() -> asio::awaitable<void> {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        asio::steady_timer timer(context);
        while (!done()) {
            if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("never came true");
            timer.expires_after(5ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
    });
}

/// Lets a store that does nothing else sweep so many times more.
void let_sweep(opened_store& with, std::uint64_t batches = 3) {
    const auto begin = with.store.stats().operations;
    poll_until(with.context, [&] { return with.store.stats().operations >= begin + batches; });
}

/// The claim of a table's sweeper, held by another session.
class held_claim {
public:
    explicit held_claim(const std::string& database) : connection_(database) {
        transaction_.emplace(connection_);
        const auto got = transaction_->exec(
            "SELECT pg_try_advisory_xact_lock(hashtextextended('pgstate sweep ' || 'agent_states'::regclass::oid, 0))");
        // A sweeper may have it for the moment.
        if (!got[0][0].as<bool>())
            transaction_->exec("SELECT pg_advisory_xact_lock(hashtextextended('pgstate sweep ' || "
                               "'agent_states'::regclass::oid, 0))");
    }
    void let_go() { transaction_.reset(); }

private:
    pqxx::connection connection_;
    std::optional<pqxx::work> transaction_;
};

/// The server waits with a row whose session is "contested" while this lives: in a trigger, when it is about to be deleted,
/// or where the view `watched` reads it.
class held_up {
public:
    explicit held_up(swept_table& table) : connection_(table.database) {
        table.exec(
            "CREATE FUNCTION wait_here(session text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN"
            " IF session = 'contested' THEN PERFORM pg_advisory_xact_lock_shared(7); END IF;"
            " RETURN true; END $$;"
            "CREATE FUNCTION wait_to_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM wait_here(OLD.session_id); RETURN OLD; END $$;");
        pqxx::nontransaction(connection_).exec("SELECT pg_advisory_lock(7)");
    }
    static void when_deleted(swept_table& table) {
        table.exec("CREATE TRIGGER wait BEFORE DELETE ON agent_states FOR EACH ROW EXECUTE FUNCTION "
                   "wait_to_delete()");
    }
    static void when_read(swept_table& table) {
        table.exec("CREATE VIEW watched AS SELECT * FROM agent_states WHERE wait_here(session_id)");
    }
    void let_go() { pqxx::nontransaction(connection_).exec("SELECT pg_advisory_unlock(7)"); }

private:
    pqxx::connection connection_;
};

void add_contested(swept_table& table) {
    table.exec("INSERT INTO agent_states (agent_id, session_id, state, expires_at) VALUES ('expired', "
               "'contested', '{}', now() - interval '1 hour')");
}

} // namespace

TEST_CASE("rows of states that have expired go from the table, and no others", "[sweep]") {
    swept_table table;
    table.fill_expired(20);
    table.fill("living", 7, "now() + interval '1 hour'");
    table.fill("staying", 5, "NULL");
    auto settings = table.on(sweeping());
    settings.schema.indexes = GENERATE(pgstate::index_mode::standard, pgstate::index_mode::lean);
    settings.tuning.statements =
        GENERATE(pgstate::statement_mode::prepared, pgstate::statement_mode::unnamed);
    settings.tuning.batch.shards = 2;
    opened_store sweeper({}, settings);
    table.wait_until_rows(sweeper.context, 12);
    CHECK(table.number("SELECT count(*) FROM agent_states WHERE agent_id = 'living'") == 7);
    CHECK(table.number("SELECT count(*) FROM agent_states WHERE agent_id = 'staying'") == 5);
    poll_until(sweeper.context, [&] { return sweeper.store.stats().swept == 20; });
    let_sweep(sweeper);
    CHECK(table.rows() == 12);
    CHECK(sweeper.store.stats().swept == 20);
}

TEST_CASE("a state saved with a ttl is swept when that is over", "[sweep]") {
    swept_table table;
    opened_store sweeper({}, table.on(sweeping()));
    run(sweeper.context, [&]() -> asio::awaitable<void> {
        const pgstate::save_options soon{.ttl = 300ms};
        const pgstate::save_options later{.ttl = 1h};
        co_await sweeper.store.save(agent_state("a", "soon"), soon);
        co_await sweeper.store.save(agent_state("a", "later"), later);
        co_await sweeper.store.save(agent_state("a", "never"));
    });
    CHECK(table.rows() == 3);
    table.wait_until_rows(sweeper.context, 2);
    run(sweeper.context, [&]() -> asio::awaitable<void> {
        const auto left = co_await sweeper.store.count("a");
        CHECK(left == 2);
    });
}

TEST_CASE("rows are swept in small batches", "[sweep]") {
    swept_table table;
    table.fill_expired(95);
    const auto metrics = std::make_shared<recorded_metrics>();
    auto settings = table.on(sweeping(10));
    settings.metrics = metrics;
    const auto trace = std::make_shared<recorded_trace>();
    settings.tracer = trace;
    opened_store sweeper({}, settings);
    poll_until(sweeper.context, [&] { return sweeper.store.stats().swept == 95; });
    CHECK(table.rows() == 0);
    CHECK(sweeper.store.stats().statements >= 10);
    CHECK(metrics->values("pgstate.statement.duration{db.operation.name=sweep}").size() >= 10);
    CHECK(metrics->read("pgstate.swept") == 95);
    CHECK(trace->all("pgstate.sweep").size() >= 10);
    poll_until(sweeper.context, [&] { return trace->all("DELETE agent_states").size() >= 10; });
    CHECK(trace->all("DELETE agent_states").front().parent == trace->all("pgstate.sweep").front().context);
}

TEST_CASE("those that have expired longest go first", "[sweep]") {
    swept_table table;
    table.fill_expired(30); // session-30 has expired longest
    held_claim claim(table.database);
    opened_store sweeper({}, table.on(sweeping(10)));
    table.exec("CREATE TABLE gone (at bigserial, session_id text);"
               "CREATE FUNCTION note_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
               " INSERT INTO gone (session_id) VALUES (OLD.session_id); RETURN OLD; END $$;"
               "CREATE TRIGGER note AFTER DELETE ON agent_states FOR EACH ROW EXECUTE FUNCTION note_gone()");
    claim.let_go();
    table.wait_until_rows(sweeper.context, 0);
    CHECK(table.number("SELECT count(*) FROM gone WHERE at <= 10 AND substr(session_id, 9)::int > 20") == 10);
    CHECK(table.number("SELECT count(*) FROM gone WHERE at > 20 AND substr(session_id, 9)::int <= 10") == 10);
}

TEST_CASE("a store does not sweep unless it is told to", "[sweep]") {
    swept_table idle_table;
    idle_table.fill_expired(5);
    opened_store idle({}, idle_table.on({}));
    CHECK(idle_table.number("SELECT count(*) FROM pg_indexes WHERE indexname LIKE '%expires_at'") == 0);

    // The same event loop runs one that does.
    swept_table table;
    table.fill_expired(5);
    auto settings = table.on(sweeping());
    pgstate::postgres_store sweeper;
    run(idle.context, [&]() -> asio::awaitable<void> {
        sweeper = co_await pgstate::postgres_store::open(idle.context.get_executor(), settings);
    });
    table.wait_until_rows(idle.context, 0);
    poll_until(idle.context, [&] { return sweeper.stats().operations >= 5; });
    CHECK(idle_table.rows() == 5);
    CHECK(idle.store.stats().operations == 0);
    run(idle.context, [&]() -> asio::awaitable<void> { co_await sweeper.close(); });
}

TEST_CASE("nothing is swept while another session has the claim, however the table's name is written",
          "[sweep]") {
    swept_table table;
    table.fill_expired(5);
    held_claim claim(table.database);
    auto settings = table.on(sweeping());
    settings.table_name = GENERATE("agent_states", "public.agent_states");
    opened_store sweeper({}, settings);
    let_sweep(sweeper);
    CHECK(table.rows() == 5);
    CHECK(sweeper.store.stats().swept == 0);
    claim.let_go();
    table.wait_until_rows(sweeper.context, 0);
}

TEST_CASE("sweepers of two tables do not keep each other from sweeping", "[sweep]") {
    swept_table table;
    table.exec("CREATE SCHEMA other");
    held_claim claim(table.database);
    auto settings = table.on(sweeping());
    settings.table_name = "other.agent_states"; // the same name, elsewhere
    opened_store sweeper({}, settings);
    table.exec(
        "INSERT INTO other.agent_states (agent_id, session_id, state, expires_at) VALUES ('a', 's', '{}', "
        "now() - interval '1 second')");
    table.wait_until(sweeper.context, "SELECT count(*) = 0 FROM other.agent_states");
}

TEST_CASE("two sweepers of one table delete every row once", "[sweep]") {
    constexpr int expired = 3000;
    swept_table table;
    table.fill("living", 100, "now() + interval '1 hour'");
    table.fill_expired(expired);
    const auto log = std::make_shared<recorded_log>();
    auto settings = table.on(sweeping(50));
    settings.logger = log;
    opened_store one({}, settings);
    pgstate::postgres_store other;
    run(one.context, [&]() -> asio::awaitable<void> {
        other = co_await pgstate::postgres_store::open(one.context.get_executor(), settings);
    });
    table.wait_until_rows(one.context, 100);
    poll_until(one.context, [&] { return one.store.stats().swept + other.stats().swept >= expired; });
    poll_until(one.context,
               [&, to = other.stats().operations + 3] { return other.stats().operations >= to; });
    CHECK(one.store.stats().swept + other.stats().swept == expired);
    CHECK(one.store.stats().retries + other.stats().retries == 0);
    for (const auto& each : log->all()) {
        CAPTURE(each.message);
        CHECK(each.level < log_level::warn);
    }
    run(one.context, [&]() -> asio::awaitable<void> { co_await other.close(); });
}

TEST_CASE("a row that somebody has locked is passed over, and swept later", "[sweep]") {
    swept_table table;
    table.fill_expired(10);
    row_lock lock(table.database, "expired", "session-10"); // the first in the order
    opened_store sweeper({}, table.on(sweeping()));
    table.wait_until_rows(sweeper.context, 1);
    let_sweep(sweeper);
    CHECK(table.rows() == 1);
    lock.let_go();
    table.wait_until_rows(sweeper.context, 0);
}

TEST_CASE("a state that is being given more time is never swept", "[sweep]") {
    swept_table table;
    table.fill_expired(10);
    pqxx::connection saver(table.database);
    pqxx::work prolongs(saver);
    prolongs.exec(
        "UPDATE agent_states SET expires_at = now() + interval '1 hour' WHERE session_id = 'session-3'");
    auto settings = table.on(sweeping());
    settings.schema.indexes =
        pgstate::index_mode::lean; // to make an index, opening would wait for this writer
    opened_store sweeper({}, settings);
    table.wait_until_rows(sweeper.context, 1);
    let_sweep(sweeper);
    prolongs.commit();
    let_sweep(sweeper);
    CHECK(table.rows() == 1);
}

TEST_CASE("a state that was given more time while a sweep was on its way is not deleted", "[sweep]") {
    swept_table table;
    table.fill_expired(10);
    add_contested(table);
    held_up wait(table);
    held_up::when_read(table);
    auto settings = table.on(sweeping());
    settings.table_name = "watched";
    settings.schema.migrate = pgstate::migrate_mode::off;
    opened_store sweeper({}, settings);
    // Its statement has begun, and sees the state as it was.
    table.wait_until(sweeper.context, somebody_waits_for_a_lock);
    const bool saved_anew = GENERATE(false, true);
    if (saved_anew)
        table.exec(
            "UPDATE agent_states SET expires_at = NULL, version = version + 1 WHERE session_id = 'contested'");
    else
        table.exec(
            "UPDATE agent_states SET expires_at = now() + interval '1 hour' WHERE session_id = 'contested'");
    wait.let_go();
    table.wait_until_rows(sweeper.context, 1);
    let_sweep(sweeper);
    CHECK(table.number("SELECT count(*) FROM agent_states WHERE session_id = 'contested'") == 1);
}

TEST_CASE("a save over a row that is just being swept makes the state anew", "[sweep]") {
    swept_table table;
    add_contested(table);
    held_up wait(table);
    held_up::when_deleted(table);
    opened_store sweeper({}, table.on(sweeping()));
    table.wait_until(sweeper.context, somebody_waits_for_a_lock);
    std::optional<pgstate::result<pgstate::saved>> saved;
    sweeper.store.save(agent_state("expired", "contested"),
                       as_result([&](pgstate::result<pgstate::saved> done) { saved = std::move(done); }));
    table.wait_until(sweeper.context,
                     "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                     "current_database()");
    wait.let_go();
    run_until(sweeper.context, [&] { return saved.has_value(); });
    REQUIRE(saved->has_value());
    let_sweep(sweeper);
    CHECK(table.rows() == 1);
}

TEST_CASE("close waits for the batch under way and lets no other begin", "[sweep]") {
    swept_table table;
    add_contested(table);
    held_up wait(table);
    held_up::when_deleted(table);
    opened_store sweeper({}, table.on(sweeping()));
    table.wait_until(sweeper.context, somebody_waits_for_a_lock);
    bool closed = false;
    std::exception_ptr failure;
    sweeper.store.close([&](std::exception_ptr why) {
        failure = std::move(why);
        closed = true;
    });
    table.wait_until(sweeper.context, "SELECT true");
    CHECK_FALSE(closed);
    wait.let_go();
    run_until(sweeper.context, [&] { return closed; });
    CHECK_FALSE(failure);
    CHECK(table.rows() == 0);
    const auto done = sweeper.store.stats().operations;
    sweeper.context.restart();
    sweeper.context.run();
    CHECK(sweeper.store.stats().operations == done);
}

TEST_CASE("a store may be destroyed while it sweeps", "[sweep]") {
    swept_table table;
    add_contested(table);
    held_up wait(table);
    held_up::when_deleted(table);
    asio::io_context context;
    std::optional<pgstate::postgres_store> store;
    run(context, [&]() -> asio::awaitable<void> {
        const auto settings = table.on(sweeping());
        store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
    });
    table.wait_until(context, somebody_waits_for_a_lock);
    SECTION("at once") {
        store.reset();
    }
    SECTION("after it was moved") {
        pgstate::postgres_store moved = std::move(*store);
        store.reset();
        table.wait_until(context, "SELECT true");
    }
    context.restart();
    context.run_for(patience);
    CHECK(context.stopped()); // nothing is left to do
    wait.let_go();
}

TEST_CASE("a store that sweeps does not keep its event loop running", "[sweep]") {
    swept_table table;
    table.fill_expired(300);
    asio::io_context context;
    std::optional<pgstate::postgres_store> store;
    const auto settings = table.on(sweeping(10));
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
        },
        [](std::exception_ptr failure) { CHECK_FALSE(failure); });
    for (int again = 0; again < 3; ++again) {
        context.restart();
        context.run_for(patience);
        CHECK(context.stopped()); // it ran out of work
    }
    REQUIRE(store.has_value());
    table.wait_until_rows(context, 0); // and goes on when it runs again
}

TEST_CASE("between two batches a sweeper holds no connection", "[sweep]") {
    swept_table table;
    auto settings = table.on(sweeping());
    settings.pool.max_conns = 1;
    opened_store sweeper({}, settings);
    let_sweep(sweeper);
    poll_until(sweeper.context, [&] { return sweeper.store.pool().stats().acquired_conns == 0; });
    // The only connection, for longer than a period: batches wait, and no operation fails.
    run(sweeper.context, [&]() -> asio::awaitable<void> {
        auto hold = [](pqxx::connection& connection) {
            pqxx::nontransaction(connection).exec("SELECT pg_sleep(0.3)");
        };
        co_await sweeper.store.pool().with_connection(hold);
    });
    let_sweep(sweeper);
}

TEST_CASE("a role that may not delete is told once, and its store works on", "[sweep]") {
    swept_table table;
    table.fill_expired(5);
    const auto role = "\"weak of " + table.exec("SELECT current_database()")[0][0].as<std::string>() + "\"";
    table.exec("CREATE ROLE " + role + "; GRANT SELECT, INSERT, UPDATE ON agent_states TO " + role);
    const auto log = std::make_shared<recorded_log>();
    const auto metrics = std::make_shared<recorded_metrics>();
    auto settings = table.on(sweeping());
    settings.schema.indexes = pgstate::index_mode::lean; // the role does not own the table
    settings.schema.migrate = pgstate::migrate_mode::verify;
    settings.logger = log;
    settings.metrics = metrics;
    settings.pool.after_connect = [role](pqxx::connection& connection) {
        pqxx::nontransaction(connection).exec("SET ROLE " + role);
    };
    const auto failures = [&] {
        return metrics->values("db.client.operation.duration{db.operation.name=sweep,error.type=42501}")
            .size();
    };
    const auto warned = [&] {
        auto records = log->all("operation failed");
        std::erase_if(records, [](const auto& each) { return each.level < log_level::warn; });
        return records;
    };
    opened_store sweeper({}, settings);
    poll_until(sweeper.context, [&] { return failures() >= 3; });
    REQUIRE(warned().size() == 1);
    CHECK(warned().front().attributes.at("db.operation.name") == "sweep");
    CHECK(warned().front().attributes.at("error.type") == "42501");
    run(sweeper.context, [&]() -> asio::awaitable<void> {
        co_await sweeper.store.save(agent_state("a", "s"));
        const auto loaded = co_await sweeper.store.load("a", "s");
        CHECK(loaded.has_value());
    });
    CHECK(table.rows() == 6);

    table.exec("GRANT DELETE ON agent_states TO " + role);
    table.wait_until_rows(sweeper.context, 1);
    table.exec("REVOKE DELETE ON agent_states FROM " + role); // another failure, which is news again
    poll_until(sweeper.context, [&, before = failures()] { return failures() >= before + 3; });
    CHECK(warned().size() == 2);
    table.exec("REVOKE ALL ON agent_states FROM " + role);
}
