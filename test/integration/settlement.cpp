// Writes whose connection is lost after they were sent: whether they were applied is found out.

#include "integration/store_support.hpp"
#include "sql/text.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

/// A store with a state in it, and a lock on its row, for which writes wait.
struct locked_row {
    locked_row() {
        run(f.context, [this]() -> asio::awaitable<void> {
            const auto state = numbered_state(0);
            first = co_await f.store.save(state);
        });
        lock.emplace(f.database, "a", "s");
    }

    /// When `done` says that it is over it has failed, as a write that waits must not be.
    template <class Done>
    void lose_connection(Done done) {
        run(f.context, [this]() -> asio::awaitable<void> {
            co_await until(f.context, observer, somebody_waits_for_a_lock);
        });
        pqxx::nontransaction(observer).exec(end_those_who_wait_for_a_lock);
        CHECK_FALSE(done());
    }

    std::optional<agent_state> loaded() {
        return run(f.context, [this]() -> asio::awaitable<std::optional<agent_state>> {
            co_return co_await f.store.load("a", "s");
        });
    }

    opened_store f;
    pgstate::saved first;
    std::optional<row_lock> lock;
    pqxx::connection observer{f.database};
};

} // namespace

TEST_CASE("a save that was not applied when its connection was lost is sent again", "[settlement]") {
    locked_row row;
    outcome<pgstate::saved> saved;
    const bool conditional = GENERATE(false, true);
    auto state = numbered_state(1);
    state.version = row.first.version;
    row.f.store.save(state, {.if_unchanged = conditional}, as_result(saved.handler()));
    row.lose_connection([&] { return saved.over(); });
    row.lock->let_go();
    run_until(row.f.context, [&] { return saved.over(); });
    REQUIRE(saved.value->has_value());
    const auto loaded = row.loaded();
    REQUIRE(loaded.has_value());
    CHECK(loaded->data.at("value").as_int64() == 1);
    CHECK(loaded->version == saved.value->value().version);
}

TEST_CASE("changes that were not applied are made once", "[settlement]") {
    locked_row row;
    std::vector<outcome<pgstate::saved>> done(3);
    const std::vector<pgstate::agent_message> messages(1);
    pgstate::state_patch patch;
    patch.context["merged"] = true;
    const auto lose_and_go_on = [&](outcome<pgstate::saved>& of) {
        row.lose_connection([&] { return of.over(); });
        row.lock->let_go();
        run_until(row.f.context, [&] { return of.over(); });
        REQUIRE(of.value->has_value());
        row.lock.emplace(row.f.database, "a", "s");
    };
    row.f.store.append("a", "s", messages, as_result(done[0].handler()));
    lose_and_go_on(done[0]);
    row.f.store.merge("a", "s", patch, as_result(done[1].handler()));
    lose_and_go_on(done[1]);
    row.f.store.increment("a", "s", "/data/value", 5, as_result(done[2].handler()));
    lose_and_go_on(done[2]);
    row.lock.reset();
    const auto loaded = row.loaded();
    REQUIRE(loaded.has_value());
    CHECK(loaded->history.size() == 1);
    CHECK(loaded->context.contains("merged"));
    CHECK(loaded->data.at("value").as_int64() == 5);
}

TEST_CASE("an erase that was not applied is sent again", "[settlement]") {
    locked_row row;
    outcome<bool> erased;
    pgstate::erase_options options;
    if (GENERATE(false, true)) options.if_version = row.first.version;
    row.f.store.erase("a", "s", options, as_result(erased.handler()));
    row.lose_connection([&] { return erased.over(); });
    row.lock->let_go();
    run_until(row.f.context, [&] { return erased.over(); });
    REQUIRE(erased.value->has_value());
    CHECK(erased.value->value());
    CHECK_FALSE(row.loaded().has_value());
}

TEST_CASE("operations of one key keep their order over a lost connection", "[settlement]") {
    locked_row row;
    outcome<pgstate::saved> first;
    outcome<pgstate::saved> second;
    outcome<std::optional<agent_state>> between;
    row.f.store.save(numbered_state(1), as_result(first.handler()));
    row.f.store.load("a", "s", as_result(between.handler()));
    row.f.store.save(numbered_state(2), as_result(second.handler()));
    row.lose_connection([&] { return first.over() || between.over() || second.over(); });
    row.lock->let_go();
    run_until(row.f.context, [&] { return second.over(); });
    REQUIRE(first.value->has_value());
    REQUIRE(between.value->has_value());
    REQUIRE(second.value->has_value());
    CHECK(between.value->value()->data.at("value").as_int64() == 1);
    CHECK(row.loaded()->data.at("value").as_int64() == 2);
}

TEST_CASE("a write over which somebody else wrote has an unknown outcome", "[settlement]") {
    locked_row row;
    opened_store other({}, config_for(row.f.database));
    outcome<pgstate::saved> theirs;
    outcome<pgstate::saved> ours;
    other.store.save(numbered_state(9), as_result(theirs.handler()));
    run(other.context, [&]() -> asio::awaitable<void> {
        co_await until(other.context, row.observer, somebody_waits_for_a_lock);
    });
    row.f.store.save(numbered_state(1), as_result(ours.handler()));
    run(row.f.context, [&]() -> asio::awaitable<void> {
        co_await until(
            row.f.context, row.observer,
            "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
            "current_database()");
    });
    // Ours is the one that came last.
    pqxx::nontransaction(row.observer)
        .exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
              "datname = current_database() ORDER BY query_start DESC LIMIT 1");
    row.lock->let_go();
    run_until(other.context, [&] { return theirs.over(); });
    REQUIRE(theirs.value->has_value());
    run_until(row.f.context, [&] { return ours.over(); });
    // It may have been looked at before they wrote: then it was sent again, and is the last.
    if (ours.value->has_value()) {
        CHECK(row.loaded()->data.at("value").as_int64() == 1);
    } else {
        CHECK(ours.value->error() == errc::outcome_unknown);
        CHECK(row.loaded()->data.at("value").as_int64() == 9);
    }
}

TEST_CASE("a write of a state that is not there has an unknown outcome", "[settlement]") {
    opened_store f;
    pqxx::connection blocker(f.database);
    pqxx::work table_lock(blocker);
    table_lock.exec("LOCK TABLE agent_states IN SHARE MODE");
    pqxx::connection observer(f.database);
    outcome<pgstate::saved> saved;
    f.store.save(numbered_state(1), as_result(saved.handler()));
    run(f.context,
        [&]() -> asio::awaitable<void> { co_await until(f.context, observer, somebody_waits_for_a_lock); });
    pqxx::nontransaction(observer).exec(end_those_who_wait_for_a_lock);
    run_until(f.context, [&] { return saved.over(); });
    REQUIRE(saved.value->has_error());
    CHECK(saved.value->error() == errc::outcome_unknown);
    CHECK(saved.value->error().sqlstate() == "57P01");
    table_lock.abort();
}

TEST_CASE("what was given up and comes late changes nothing that the same store wrote after it",
          "[settlement]") {
    opened_store f;
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(1);
        co_await f.store.save(state);
    });
    pqxx::connection connection(f.database);
    pqxx::nontransaction sql(connection);
    const auto name = sql.exec("SELECT write_name FROM agent_states")[0][0].as<std::int64_t>();
    const pgstate::sql::sql_text text("\"agent_states\"");
    using existing = pgstate::sql::sql_text::existing;
    const auto rows_of = [&](std::int64_t late) {
        const auto as_text = std::to_string(late) + "::bigint";
        int rows = 0;
        rows += sql.exec(text.insert("VALUES ('a', 's', '{}'::jsonb, now(), now(), 1, NULL::timestamptz, " +
                                         as_text + ")",
                                     existing::replaced, "t.version"))
                    .size();
        rows +=
            sql.exec(text.replace("'{}'", "NULL::timestamptz", "", "t.agent_id = 'a'", as_text, "t.version"))
                .size();
        rows += sql.exec(text.touch("NULL::timestamptz", "t.agent_id = 'a'", as_text, "t.version")).size();
        rows += sql.exec(text.erase("", "t.agent_id = 'a'", as_text, "t.version")).size();
        return rows;
    };
    CHECK(rows_of(name - 1) == 0);
    CHECK(rows_of(name + 1) == 4);
}

TEST_CASE("the server gives up what takes longer than an operation may", "[settlement]") {
    pgstate::config base;
    base.operation_timeout = 500ms;
    opened_store f({}, base);
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(1);
        co_await f.store.save(state);
    });
    const row_lock lock(f.database, "a", "s");
    pqxx::connection observer(f.database);
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = numbered_state(2);
        const auto late = co_await f.store.save(state, as_result);
        REQUIRE(late.has_error());
        CHECK((late.error() == errc::timed_out || late.error().sqlstate() == "57014"));
        co_await until(
            f.context, observer,
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
            "current_database()");
    });
}

TEST_CASE("a statement_timeout that is there stays", "[settlement]") {
    const auto shown = [](const std::string& parameters, std::chrono::milliseconds operation_timeout) {
        pgstate::config base;
        base.operation_timeout = operation_timeout;
        opened_store f(parameters, base);
        return run(f.context, [&]() -> asio::awaitable<std::string> {
            auto work = [](pqxx::connection& connection) {
                return pqxx::nontransaction(connection)
                    .exec("SHOW statement_timeout")[0][0]
                    .as<std::string>();
            };
            co_return co_await f.store.pool().with_connection(work);
        });
    };
    CHECK(shown({}, 7s) == "7s");
    CHECK(shown({}, 0s) == "0");
    CHECK(shown("&options=-c%20statement_timeout%3D5s", 7s) == "5s");
}
