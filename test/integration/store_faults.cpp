// What a store makes of cancelled and late operations, of lost connections, and of rows that are no states.

#include "integration/store_support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>

#include <catch2/catch_test_macros.hpp>

#include <exception>
#include <future>
#include <memory>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

constexpr auto single_connection = "&pool_max_conns=1";

/// The only connection of a store's pool, which a function uses until it is let go.
class held_connection {
public:
    explicit held_connection(opened_store& f) : f_(f) {
        f.store.pool().with_connection(
            [release = release_](pqxx::connection&) { release->get_future().wait(); },
            as_result(holder_.handler()));
        run_until(f.context, [&] { return f.store.pool().stats().acquired_conns == 1; });
    }
    void let_go() {
        release_->set_value();
        holder_.wait(f_.context);
    }

private:
    opened_store& f_;
    std::shared_ptr<std::promise<void>> release_ = std::make_shared<std::promise<void>>();
    outcome<void> holder_;
};

} // namespace

TEST_CASE("a queued operation that is cancelled is never sent", "[cancellation]") {
    opened_store f(single_connection);
    held_connection held(f);
    asio::cancellation_signal cancel;
    outcome<pgstate::saved> cancelled;
    outcome<pgstate::saved> other;
    f.store.save(numbered_state(1, "cancelled"),
                 as_result(asio::bind_cancellation_slot(cancel.slot(), cancelled.handler())));
    f.store.save(numbered_state(2, "other"), as_result(other.handler()));
    f.context.poll();
    cancel.emit(asio::cancellation_type::terminal);
    CHECK(cancelled.wait(f.context).error().code() == asio::error::operation_aborted);

    held.let_go();
    CHECK(other.wait(f.context).has_value());
    CHECK(f.wait(f.store.count()) == 1);
    CHECK(cancelled.calls == 1);
}

TEST_CASE("a sent operation that is cancelled leaves its neighbours alone", "[cancellation]") {
    opened_store f(single_connection);
    f.wait(f.store.save(numbered_state(0, "s0")));
    row_lock lock(f.database, "a", "s0");
    pqxx::connection observer(f.database);

    asio::cancellation_signal cancel;
    outcome<pgstate::saved> cancelled;
    std::vector<outcome<pgstate::saved>> others(63);
    f.store.save(numbered_state(1, "s0"),
                 as_result(asio::bind_cancellation_slot(cancel.slot(), cancelled.handler())));
    for (std::size_t i = 0; i < others.size(); ++i)
        f.store.save(numbered_state(1, "s" + std::to_string(i + 1)), as_result(others[i].handler()));
    f.wait_until(observer, somebody_waits_for_a_lock);
    cancel.emit(asio::cancellation_type::terminal);
    CHECK(cancelled.wait(f.context).error().code() == asio::error::operation_aborted);

    lock.let_go();
    run_until(f.context, [&] { return all_over(others); });
    for (const auto& each : others)
        CHECK(each.value->has_value());
    CHECK(cancelled.calls == 1);
}

TEST_CASE("an operation's time-out says whether it was applied", "[time-out]") {
    opened_store f(single_connection);
    f.wait(f.store.save(numbered_state(0)));
    row_lock lock(f.database, "a", "s");
    const auto begin = std::chrono::steady_clock::now();
    const auto failure =
        f.failure(f.store.save(numbered_state(1), {.timeout = 1000ms}, as_result), errc::timed_out);
    CHECK(names(failure, "not applied")); // the server has given it up by then
    CHECK(std::chrono::steady_clock::now() - begin < 10s);
    lock.let_go();
    CHECK(f.wait(f.store.load("a", "s"))->data.at("value") == 0);
}

TEST_CASE("a pool whose connections are all held says so", "[time-out]") {
    opened_store f(single_connection);
    held_connection held(f);
    const auto failure =
        f.failure(f.store.save(numbered_state(1), {.timeout = 100ms}, as_result), errc::pool_exhausted);
    CHECK(names(failure, "pool_max_conns"));
    pgstate::acquire_options options;
    options.timeout = 100ms;
    f.failure(f.store.pool().with_connection([](pqxx::connection&) {}, options, as_result),
              errc::pool_exhausted);
    held.let_go();
    CHECK(f.store.pool().stats().canceled_acquire_count >= 1);
}

TEST_CASE("a read whose connection is lost is made again", "[faults]") {
    opened_store f;
    f.wait(f.store.save(numbered_state(7)));
    table_lock locked(f.database);
    pqxx::connection observer(f.database);
    outcome<std::optional<agent_state>> loaded;
    f.store.load("a", "s", as_result(loaded.handler()));
    f.lose_waiting(observer);
    locked.let_go();
    REQUIRE(loaded.wait(f.context).has_value());
    CHECK(loaded.value->value()->data.at("value").as_int64() == 7);
}

TEST_CASE("after the server was restarted the next operation succeeds", "[faults]") {
    pgstate::embedded_server_options options;
    options.settings["fsync"] = "off";
    pgstate::embedded_server own(options);
    asio::io_context context;
    auto settings = config_for(own.connection_string());
    auto store = wait(context, pgstate::postgres_store::open(context.get_executor(), settings));
    wait(context, store.save(numbered_state(1)));
    own.stop(pgstate::embedded_server::shutdown::immediate);
    const auto down =
        wait(context, store.load("a", "s", pgstate::load_options{.timeout = 1500ms}, as_result));
    const auto failure = require_failure(down, errc::unavailable);
    CHECK(names(failure, "connect"));
    own.start();
    CHECK(wait(context, store.load("a", "s")).has_value());
    wait(context, store.close());
}

TEST_CASE("a row that is no agent state is named, and its neighbours load", "[faults]") {
    opened_store f;
    run_on(f.database,
           "INSERT INTO agent_states (agent_id, session_id, state) VALUES ('a', 'bad', '[1, \"canary\"]')");
    for (int i = 0; i < 20; ++i)
        f.wait(f.store.save(numbered_state(i, "s" + std::to_string(i))));
    outcome<std::optional<agent_state>> bad;
    std::vector<outcome<std::optional<agent_state>>> loads(20);
    f.store.load("a", "bad", as_result(bad.handler()));
    for (std::size_t i = 0; i < 20; ++i)
        f.store.load("a", "s" + std::to_string(i), as_result(loads[i].handler()));
    run_until(f.context, [&] { return bad.over() && all_over(loads); });
    const auto failure = require_failure(*bad.value, errc::corrupt_state);
    CHECK(names(failure, "bad"));
    CHECK_FALSE(names(failure, "canary"));
    for (const auto& each : loads)
        CHECK(each.value->value().has_value());
}

TEST_CASE("one refused row does not fail the statement it shared", "[faults]") {
    opened_store f(single_connection);
    run_on(f.database, "ALTER TABLE agent_states ADD CHECK (session_id <> 's5')");
    std::vector<outcome<pgstate::saved>> saves(20);
    for (std::size_t i = 0; i < saves.size(); ++i)
        f.store.save(numbered_state(1, "s" + std::to_string(i)), as_result(saves[i].handler()));
    run_until(f.context, [&] { return all_over(saves); });
    for (std::size_t i = 0; i < saves.size(); ++i)
        if (i == 5)
            CHECK(saves[i].value->error() == pgstate::sqlstate::check_violation);
        else
            CHECK(saves[i].value->has_value());
}

TEST_CASE("a refusal keeps the server's hint, and its detail where that holds no values", "[faults]") {
    opened_store f(single_connection);
    for (const bool safe : {true, false}) {
        run_on(f.database, "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                           "RAISE EXCEPTION 'no' USING ERRCODE = '" +
                               std::string(safe ? "55000" : "23514") +
                               "', DETAIL = 'The table is frozen.', HINT = 'Ask its owner.'; END $$;"
                               "CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON agent_states "
                               "FOR EACH ROW EXECUTE FUNCTION refuse()");
        const auto refused = f.wait(f.store.save(numbered_state(1), as_result));
        REQUIRE(refused.has_error());
        CHECK(names(refused.error(), "Ask its owner."));
        CHECK(names(refused.error(), "The table is frozen.") == safe);
    }
}

TEST_CASE("a refused statement stays prepared for the next one", "[faults]") {
    opened_store f(single_connection);
    run_on(f.database, "ALTER TABLE agent_states ADD CHECK (session_id <> 'bad')");
    const auto good = numbered_state(1);
    const auto bad = numbered_state(1, "bad");
    for (int i = 0; i < 3; ++i) {
        CHECK(f.wait(f.store.save(good, as_result)).has_value());
        CHECK(f.wait(f.store.save(bad, as_result)).error() == pgstate::sqlstate::check_violation);
    }
}

TEST_CASE("a changed table does not break the statements prepared for it", "[faults]") {
    opened_store f(single_connection);
    const auto state = numbered_state(1);
    f.wait(f.store.save(state));
    f.wait(f.store.load("a", "s"));
    run_on(f.database, "ALTER TABLE agent_states ALTER updated_at TYPE timestamptz(3)");
    for (int i = 0; i < 3; ++i) {
        CHECK(f.wait(f.store.load("a", "s", as_result)).has_value());
        CHECK(f.wait(f.store.save(state, as_result)).has_value());
    }
}

TEST_CASE("a store that is destroyed completes what it still had", "[faults]") {
    opened_store f(single_connection);
    f.wait(f.store.save(numbered_state(0)));
    row_lock lock(f.database, "a", "s");
    pqxx::connection observer(f.database);
    outcome<pgstate::saved> sent;
    outcome<pgstate::saved> queued;
    f.store.save(numbered_state(1), as_result(sent.handler()));
    f.store.save(numbered_state(2), as_result(queued.handler()));
    f.wait_until(observer, somebody_waits_for_a_lock);
    f.destroy();
    CHECK(sent.wait(f.context).error() == errc::outcome_unknown);
    CHECK(queued.wait(f.context).error() == errc::closed);
}

TEST_CASE("an event loop that is destroyed with operations in it takes them along", "[faults]") {
    const auto settings = config_for(fresh_database());
    int calls = 0;
    {
        asio::io_context context;
        auto store = wait(context, pgstate::postgres_store::open(context.get_executor(), settings));
        for (int i = 0; i < 50; ++i)
            store.save(numbered_state(i), [&](std::exception_ptr, pgstate::saved) { ++calls; });
        context.run_one();
        context.run_one();
    }
    CHECK(calls < 50);
}
