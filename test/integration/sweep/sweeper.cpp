// The sweeper: what it deletes, what it leaves, and that it gets in nobody's way. The table is filled and looked at with
// SQL of its own, as a store does not show what has expired.

#include "integration/sweep/swept_table.hpp"
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

namespace {

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::log_level;

/// Lets a store that does nothing else sweep so many times more.
void let_sweep(opened_store& with, std::uint64_t batches = 3) {
    const auto begin = with.store.stats().operations;
    poll_until(with.context, [&] { return with.store.stats().operations >= begin + batches; });
}

/// The claim of a table's sweeper, held by another session.
struct held_claim : open_transaction {
    explicit held_claim(const std::string& database)
        : open_transaction(database, "SELECT pg_advisory_xact_lock(hashtextextended('pgstate sweep ' || "
                                     "'agent_states'::regclass::oid, 0))") {}
};

/// Adds the expired row "contested", with which the server waits while this lives, at the place that `where` makes.
class held_up {
public:
    held_up(swept_table& table, const std::string& where) : connection_(table.database) {
        table.exec(
            "CREATE FUNCTION wait_here(session text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN"
            " IF session = 'contested' THEN PERFORM pg_advisory_xact_lock_shared(7); END IF;"
            " RETURN true; END $$;"
            "CREATE FUNCTION wait_to_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM wait_here(OLD.session_id); RETURN OLD; END $$;"
            "INSERT INTO agent_states (agent_id, session_id, state, expires_at) VALUES ('expired', 'contested',"
            " '{}', now() - interval '1 hour');" +
            where);
        pqxx::nontransaction(connection_).exec("SELECT pg_advisory_lock(7)");
    }
    void let_go() { pqxx::nontransaction(connection_).exec("SELECT pg_advisory_unlock(7)"); }

private:
    pqxx::connection connection_;
};

constexpr auto before_a_delete =
    "CREATE TRIGGER wait BEFORE DELETE ON agent_states FOR EACH ROW EXECUTE FUNCTION wait_to_delete()";

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
    sweeper.wait(sweeper.store.save(agent_state("a", "soon"), {.ttl = 300ms}));
    sweeper.wait(sweeper.store.save(agent_state("a", "later"), {.ttl = 1h}));
    sweeper.wait(sweeper.store.save(agent_state("a", "never")));
    CHECK(table.rows() == 3);
    table.wait_until_rows(sweeper.context, 2);
    CHECK(sweeper.wait(sweeper.store.count("a")) == 2);
}

TEST_CASE("rows are swept in small batches", "[sweep]") {
    swept_table table;
    table.fill_expired(95);
    const auto metrics = std::make_shared<recorded_metrics>();
    const auto trace = std::make_shared<recorded_trace>();
    auto settings = table.on(sweeping(10));
    settings.metrics = metrics;
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
    auto sweeper = idle.wait(pgstate::postgres_store::open(idle.context.get_executor(), settings));
    table.wait_until_rows(idle.context, 0);
    poll_until(idle.context, [&] { return sweeper.stats().operations >= 5; });
    CHECK(idle_table.rows() == 5);
    CHECK(idle.store.stats().operations == 0);
    idle.wait(sweeper.close());
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
    auto other = one.wait(pgstate::postgres_store::open(one.context.get_executor(), settings));
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
    one.wait(other.close());
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
    open_transaction prolongs(
        table.database,
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
    held_up held(table, "CREATE VIEW watched AS SELECT * FROM agent_states WHERE wait_here(session_id)");
    auto settings = table.on(sweeping());
    settings.table_name = "watched";
    settings.schema.migrate = pgstate::migrate_mode::off;
    opened_store sweeper({}, settings);
    // Its statement has begun, and sees the state as it was.
    table.wait_until(sweeper.context, somebody_waits_for_a_lock);
    const std::string change =
        GENERATE("expires_at = now() + interval '1 hour'", "expires_at = NULL, version = version + 1");
    table.exec("UPDATE agent_states SET " + change + " WHERE session_id = 'contested'");
    held.let_go();
    table.wait_until_rows(sweeper.context, 1);
    let_sweep(sweeper);
    CHECK(table.number("SELECT count(*) FROM agent_states WHERE session_id = 'contested'") == 1);
}

TEST_CASE("a save over a row that is just being swept makes the state anew", "[sweep]") {
    swept_table table;
    held_up held(table, before_a_delete);
    opened_store sweeper({}, table.on(sweeping()));
    table.wait_until(sweeper.context, somebody_waits_for_a_lock);
    outcome<pgstate::saved> saved;
    sweeper.store.save(agent_state("expired", "contested"), as_result(saved.handler()));
    table.wait_until(sweeper.context,
                     "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                     "current_database()");
    held.let_go();
    REQUIRE(saved.wait(sweeper.context).has_value());
    let_sweep(sweeper);
    CHECK(table.rows() == 1);
}

TEST_CASE("close waits for the batch under way and lets no other begin", "[sweep]") {
    swept_table table;
    held_up held(table, before_a_delete);
    opened_store sweeper({}, table.on(sweeping()));
    table.wait_until(sweeper.context, somebody_waits_for_a_lock);
    successes closed;
    sweeper.store.close(closed.handler());
    table.wait_until(sweeper.context, "SELECT true");
    CHECK(closed.count == 0);
    held.let_go();
    run_until(sweeper.context, [&] { return closed.count == 1; });
    CHECK(table.rows() == 0);
    const auto done = sweeper.store.stats().operations;
    sweeper.context.restart();
    sweeper.context.run();
    CHECK(sweeper.store.stats().operations == done);
}

TEST_CASE("a store may be destroyed while it sweeps", "[sweep]") {
    swept_table table;
    held_up held(table, before_a_delete);
    asio::io_context context;
    std::optional store =
        wait(context, pgstate::postgres_store::open(context.get_executor(), table.on(sweeping())));
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
    held.let_go();
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
    sweeper.on_pool("SELECT pg_sleep(0.3)");
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
    sweeper.wait(sweeper.store.save(agent_state("a", "s")));
    CHECK(sweeper.wait(sweeper.store.load("a", "s")).has_value());
    CHECK(table.rows() == 6);

    table.exec("GRANT DELETE ON agent_states TO " + role);
    table.wait_until_rows(sweeper.context, 1);
    table.exec("REVOKE DELETE ON agent_states FROM " + role); // another failure, which is news again
    poll_until(sweeper.context, [&, before = failures()] { return failures() >= before + 3; });
    CHECK(warned().size() == 2);
    table.exec("REVOKE ALL ON agent_states FROM " + role);
}
