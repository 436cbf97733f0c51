// What a store makes of cancelled and late operations, of lost connections, and of rows that are no states.

#include "integration/store_support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
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

} // namespace

TEST_CASE("a queued operation that is cancelled is never sent", "[cancellation]") {
    opened_store f(single_connection);
    auto release = std::make_shared<std::promise<void>>();
    auto held = std::make_shared<std::promise<void>>();
    outcome<void> holder;
    f.store.pool().with_connection(
        [release, held](pqxx::connection&) {
            held->set_value();
            release->get_future().wait();
        },
        as_result(holder.handler()));
    run_until(f.context, [&] { return f.store.pool().stats().acquired_conns == 1; });

    asio::cancellation_signal cancel;
    outcome<pgstate::saved> cancelled;
    outcome<pgstate::saved> other;
    f.store.save(numbered_state(1, "cancelled"),
                 as_result(asio::bind_cancellation_slot(cancel.slot(), cancelled.handler())));
    f.store.save(numbered_state(2, "other"), as_result(other.handler()));
    f.context.poll();
    cancel.emit(asio::cancellation_type::terminal);
    run_until(f.context, [&] { return cancelled.calls == 1; });
    CHECK(cancelled.value->error().code() == asio::error::operation_aborted);

    held->get_future().wait();
    release->set_value();
    run_until(f.context, [&] { return other.calls == 1 && holder.calls == 1; });
    CHECK(other.value->has_value());
    const auto left =
        run(f.context, [&]() -> asio::awaitable<std::int64_t> { co_return co_await f.store.count(); });
    CHECK(left == 1);
    CHECK(cancelled.calls == 1);
}

TEST_CASE("a sent operation that is cancelled leaves its neighbours alone", "[cancellation]") {
    opened_store f(single_connection);
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(0, "s0");
        co_await f.store.save(state);
    });
    row_lock lock(f.database, "a", "s0");
    pqxx::connection observer(f.database);

    asio::cancellation_signal cancel;
    outcome<pgstate::saved> cancelled;
    std::vector<std::unique_ptr<outcome<pgstate::saved>>> others;
    f.store.save(numbered_state(1, "s0"),
                 as_result(asio::bind_cancellation_slot(cancel.slot(), cancelled.handler())));
    for (int i = 1; i < 64; ++i) {
        others.push_back(std::make_unique<outcome<pgstate::saved>>());
        f.store.save(numbered_state(i, "s" + std::to_string(i)), as_result(others.back()->handler()));
    }
    run(f.context,
        [&]() -> asio::awaitable<void> { co_await until(f.context, observer, somebody_waits_for_a_lock); });
    cancel.emit(asio::cancellation_type::terminal);
    run_until(f.context, [&] { return cancelled.calls == 1; });
    CHECK(cancelled.value->error().code() == asio::error::operation_aborted);

    lock.let_go();
    run_until(f.context,
              [&] { return std::ranges::all_of(others, [](auto& each) { return each->calls == 1; }); });
    for (const auto& each : others)
        CHECK(each->value->has_value());
    CHECK(cancelled.calls == 1);
}

TEST_CASE("an operation's time-out says whether it was applied", "[time-out]") {
    opened_store f(single_connection);
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(0);
        co_await f.store.save(state);
    });
    row_lock lock(f.database, "a", "s");
    const auto begin = std::chrono::steady_clock::now();
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(1);
        const auto late = co_await f.store.save(state, {.timeout = 1000ms}, as_result);
        const auto failure = require_failure(late, errc::timed_out);
        CHECK(names(failure, "not applied")); // the server has given it up by then
    });
    CHECK(std::chrono::steady_clock::now() - begin < 10s);
    lock.let_go();
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto loaded = co_await f.store.load("a", "s");
        CHECK(loaded->data.at("value") == 0);
    });
}

TEST_CASE("a pool whose connections are all held says so", "[time-out]") {
    opened_store f(single_connection);
    auto release = std::make_shared<std::promise<void>>();
    outcome<void> holder;
    f.store.pool().with_connection([release](pqxx::connection&) { release->get_future().wait(); },
                                   as_result(holder.handler()));
    run_until(f.context, [&] { return f.store.pool().stats().acquired_conns == 1; });
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(1);
        const auto late = co_await f.store.save(state, {.timeout = 100ms}, as_result);
        const auto failure = require_failure(late, errc::pool_exhausted);
        CHECK(std::string_view(failure.what()).find("pool_max_conns") != std::string_view::npos);
        pgstate::acquire_options options;
        options.timeout = 100ms;
        const auto none =
            co_await f.store.pool().with_connection([](pqxx::connection&) {}, options, as_result);
        require_failure(none, errc::pool_exhausted);
    });
    release->set_value();
    run_until(f.context, [&] { return holder.calls == 1; });
    CHECK(f.store.pool().stats().canceled_acquire_count >= 1);
}

TEST_CASE("a read whose connection is lost is made again", "[faults]") {
    opened_store f;
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(7);
        co_await f.store.save(state);
    });
    pqxx::connection blocker(f.database);
    pqxx::work table_lock(blocker);
    table_lock.exec("LOCK TABLE agent_states IN ACCESS EXCLUSIVE MODE");
    pqxx::connection observer(f.database);
    outcome<std::optional<agent_state>> loaded;
    f.store.load("a", "s", as_result(loaded.handler()));
    run(f.context,
        [&]() -> asio::awaitable<void> { co_await until(f.context, observer, somebody_waits_for_a_lock); });
    pqxx::nontransaction(observer).exec(end_those_who_wait_for_a_lock);
    table_lock.abort();
    run_until(f.context, [&] { return loaded.calls == 1; });
    REQUIRE(loaded.value->has_value());
    CHECK(loaded.value->value()->data.at("value").as_int64() == 7);
}

TEST_CASE("after the server was restarted the next operation succeeds", "[faults]") {
    pgstate::embedded_server_options options;
    options.settings["fsync"] = "off";
    pgstate::embedded_server own(options);
    asio::io_context context;
    auto settings = config_for(own.connection_string());
    run(context, [&]() -> asio::awaitable<void> {
        auto store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
        const auto state = numbered_state(1);
        co_await store.save(state);
        own.stop(pgstate::embedded_server::shutdown::immediate);
        const auto down = co_await store.load("a", "s", pgstate::load_options{1500ms}, as_result);
        const auto failure = require_failure(down, errc::unavailable);
        CHECK(std::string_view(failure.what()).find("connect") != std::string_view::npos);
        own.start();
        const auto loaded = co_await store.load("a", "s");
        CHECK(loaded.has_value());
        co_await store.close();
    });
}

TEST_CASE("a row that is no agent state is named, and its neighbours load", "[faults]") {
    opened_store f;
    pqxx::connection other(f.database);
    pqxx::nontransaction(other).exec(
        "INSERT INTO agent_states (agent_id, session_id, state) VALUES ('a', 'bad', '[1, \"canary\"]')");
    std::vector<std::unique_ptr<outcome<std::optional<agent_state>>>> loads;
    run(f.context, [&]() -> asio::awaitable<void> {
        for (int i = 0; i < 20; ++i) {
            const auto state = numbered_state(i, "s" + std::to_string(i));
            co_await f.store.save(state);
        }
    });
    outcome<std::optional<agent_state>> bad;
    f.store.load("a", "bad", as_result(bad.handler()));
    for (int i = 0; i < 20; ++i) {
        loads.push_back(std::make_unique<outcome<std::optional<agent_state>>>());
        f.store.load("a", "s" + std::to_string(i), as_result(loads.back()->handler()));
    }
    run_until(f.context, [&] {
        return bad.calls == 1 && std::ranges::all_of(loads, [](auto& each) { return each->calls == 1; });
    });
    const std::string what = bad.value->error().what();
    CHECK(bad.value->error() == errc::corrupt_state);
    CHECK(what.find("bad") != std::string_view::npos);
    CHECK(what.find("canary") == std::string_view::npos);
    for (const auto& each : loads)
        CHECK(each->value->value().has_value());
}

TEST_CASE("one refused row does not fail the statement it shared", "[faults]") {
    opened_store f(single_connection);
    pqxx::connection other(f.database);
    pqxx::nontransaction(other).exec("ALTER TABLE agent_states ADD CHECK (session_id <> 's5')");
    std::vector<std::unique_ptr<outcome<pgstate::saved>>> saves;
    for (int i = 0; i < 20; ++i) {
        saves.push_back(std::make_unique<outcome<pgstate::saved>>());
        f.store.save(numbered_state(i, "s" + std::to_string(i)), as_result(saves.back()->handler()));
    }
    run_until(f.context,
              [&] { return std::ranges::all_of(saves, [](auto& each) { return each->calls == 1; }); });
    for (std::size_t i = 0; i < saves.size(); ++i) {
        if (i == 5)
            CHECK(saves[i]->value->error() == pgstate::sqlstate::check_violation);
        else
            CHECK(saves[i]->value->has_value());
    }
}

TEST_CASE("a refusal keeps the server's hint, and its detail where that holds no values", "[faults]") {
    opened_store f(single_connection);
    pqxx::connection owner(f.database);
    for (const bool safe : {true, false}) {
        pqxx::nontransaction sql(owner);
        sql.exec("CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                 "RAISE EXCEPTION 'no' USING ERRCODE = '" +
                 std::string(safe ? "55000" : "23514") +
                 "', DETAIL = 'The table is frozen.', HINT = 'Ask its owner.'; END $$");
        sql.exec("CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON agent_states "
                 "FOR EACH ROW EXECUTE FUNCTION refuse()");
        run(f.context, [&]() -> asio::awaitable<void> {
            const auto state = numbered_state(1);
            const auto refused = co_await f.store.save(state, as_result);
            REQUIRE(refused.has_error());
            CHECK(names(refused.error(), "Ask its owner."));
            CHECK(names(refused.error(), "The table is frozen.") == safe);
        });
    }
}

TEST_CASE("statements that the server forgot are prepared again", "[faults]") {
    opened_store f(single_connection);
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(1);
        co_await f.store.save(state);
        co_await f.store.pool().with_connection(
            [](pqxx::connection& c) { pqxx::nontransaction(c).exec("DEALLOCATE ALL"); });
        const auto again = co_await f.store.save(state, as_result);
        CHECK(again.has_value());
    });
}

TEST_CASE("a refused statement stays prepared for the next one", "[faults]") {
    opened_store f(single_connection);
    pqxx::connection other(f.database);
    pqxx::nontransaction(other).exec("ALTER TABLE agent_states ADD CHECK (session_id <> 'bad')");
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto good = numbered_state(1);
        const auto bad = numbered_state(1, "bad");
        for (int i = 0; i < 3; ++i) {
            const auto saved = co_await f.store.save(good, as_result);
            CHECK(saved.has_value());
            const auto refused = co_await f.store.save(bad, as_result);
            CHECK(refused.error() == pgstate::sqlstate::check_violation);
        }
    });
}

TEST_CASE("a changed table does not break the statements prepared for it", "[faults]") {
    opened_store f(single_connection);
    pqxx::connection other(f.database);
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(1);
        co_await f.store.save(state);
        co_await f.store.load("a", "s");
        pqxx::nontransaction(other).exec("ALTER TABLE agent_states ALTER updated_at TYPE timestamptz(3)");
        for (int i = 0; i < 3; ++i) {
            const auto loaded = co_await f.store.load("a", "s", as_result);
            CHECK(loaded.has_value());
            const auto saved = co_await f.store.save(state, as_result);
            CHECK(saved.has_value());
        }
    });
}

TEST_CASE("a store that is destroyed completes what it still had", "[faults]") {
    opened_store f(single_connection);
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(0);
        co_await f.store.save(state);
    });
    row_lock lock(f.database, "a", "s");
    pqxx::connection observer(f.database);
    outcome<pgstate::saved> sent;
    outcome<pgstate::saved> queued;
    f.store.save(numbered_state(1), as_result(sent.handler()));
    f.store.save(numbered_state(2), as_result(queued.handler()));
    run(f.context,
        [&]() -> asio::awaitable<void> { co_await until(f.context, observer, somebody_waits_for_a_lock); });
    f.destroy();
    run_until(f.context, [&] { return sent.calls == 1 && queued.calls == 1; });
    CHECK(sent.value->error() == errc::outcome_unknown);
    CHECK(queued.value->error() == errc::closed);
}

TEST_CASE("an event loop that is destroyed with operations in it takes them along", "[faults]") {
    const auto settings = config_for(fresh_database());
    int calls = 0;
    {
        asio::io_context context;
        pgstate::postgres_store store;
        run(context, [&]() -> asio::awaitable<void> {
            store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
        });
        for (int i = 0; i < 50; ++i)
            store.save(numbered_state(i), [&](std::exception_ptr, pgstate::saved) { ++calls; });
        context.run_one();
        context.run_one();
    }
    CHECK(calls < 50);
}
