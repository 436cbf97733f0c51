// Writes whose connection is lost after they were sent: whether they were applied is found out.

#include "integration/store_support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <optional>
#include <string>
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
        first = f.wait(f.store.save(numbered_state(0)));
        lock.emplace(f.database, "a", "s");
    }

    /// When `done` says that it is over it has failed, as a write that waits must not be.
    template <class Done>
    void lose_and_unlock(Done done) {
        f.lose_waiting(observer);
        CHECK_FALSE(done());
        lock->let_go();
    }

    std::optional<agent_state> loaded() { return f.wait(f.store.load("a", "s")); }

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
    row.lose_and_unlock([&] { return saved.over(); });
    REQUIRE(saved.wait(row.f.context).has_value());
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
        row.lose_and_unlock([&] { return of.over(); });
        REQUIRE(of.wait(row.f.context).has_value());
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
    row.lose_and_unlock([&] { return erased.over(); });
    REQUIRE(erased.wait(row.f.context).has_value());
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
    row.lose_and_unlock([&] { return first.over() || between.over() || second.over(); });
    second.wait(row.f.context);
    REQUIRE(first.value->has_value());
    REQUIRE(between.value->has_value());
    REQUIRE(second.value->has_value());
    CHECK(between.value->value()->data.at("value").as_int64() == 1);
    CHECK(row.loaded()->data.at("value").as_int64() == 2);
}

TEST_CASE(
    "a write over which another store wrote has an unknown outcome, and one over which a transaction did has not",
    "[settlement]") {
    locked_row row;
    opened_store other({}, config_for(row.f.database));
    const bool named = GENERATE(true, false);
    CAPTURE(named);
    outcome<pgstate::saved> theirs_named;
    outcome<void> theirs;
    outcome<pgstate::saved> ours;
    if (named)
        other.store.save(numbered_state(9), as_result(theirs_named.handler()));
    else
        other.store.transaction([](pgstate::transaction& t) { t.save(numbered_state(9)); },
                                as_result(theirs.handler()));
    other.wait_until(row.observer, somebody_waits_for_a_lock);
    row.f.store.save(numbered_state(1), as_result(ours.handler()));
    row.f.wait_until(row.observer, "SELECT 2 = (" + std::string(waiters_for_a_lock) + ")");
    // Ours is the one that came last.
    pqxx::nontransaction(row.observer)
        .exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
              "datname = current_database() ORDER BY query_start DESC LIMIT 1");
    row.lock->let_go();
    if (named)
        REQUIRE(theirs_named.wait(other.context).has_value());
    else
        REQUIRE(theirs.wait(other.context).has_value());
    ours.wait(row.f.context);
    // It may have been looked at before they wrote: then it was sent again, and is the last.
    if (ours.value->has_value() || !named) {
        REQUIRE(ours.value->has_value());
        CHECK(row.loaded()->data.at("value").as_int64() == 1);
    } else {
        CHECK(ours.value->error() == errc::outcome_unknown);
        CHECK(row.loaded()->data.at("value").as_int64() == 9);
    }
}

TEST_CASE("a write of a state that is not there has an unknown outcome", "[settlement]") {
    opened_store f;
    const table_lock locked(f.database, "SHARE");
    pqxx::connection observer(f.database);
    outcome<pgstate::saved> saved;
    f.store.save(numbered_state(1), as_result(saved.handler()));
    f.lose_waiting(observer);
    REQUIRE(saved.wait(f.context).has_error());
    CHECK(saved.value->error() == errc::outcome_unknown);
    CHECK(saved.value->error().sqlstate() == "57P01");
}

TEST_CASE("an append of messages that all have ids is sent again", "[settlement][ids]") {
    opened_store f;
    std::optional<table_lock> locked;
    locked.emplace(f.database, "SHARE");
    pqxx::connection observer(f.database);
    outcome<pgstate::saved> saved;
    std::vector<pgstate::agent_message> messages(2);
    messages[0].id = "1";
    const bool all = GENERATE(true, false);
    if (all) messages[1].id = "2";
    f.store.append("a", "s", messages, {.create = true}, as_result(saved.handler()));
    f.lose_waiting(observer);
    if (!all) {
        REQUIRE(saved.wait(f.context).has_error());
        CHECK(saved.value->error() == errc::outcome_unknown);
        return;
    }
    locked.reset();
    REQUIRE(saved.wait(f.context).has_value());
    CHECK(saved.value->value().applied);
    CHECK(f.wait(f.store.load("a", "s"))->history.size() == 2);
}

namespace {

enum class given_up { timed_out, cancelled };

/// True while a statement that begins with `word` waits for a lock in this database.
std::string waits_for_a_lock(const std::string& word) {
    return std::string(somebody_waits_for_a_lock) + " AND query LIKE '" + word + "%'";
}

} // namespace

TEST_CASE("an erase waits for a save of its key that was given up, until that can do no more",
          "[settlement]") {
    locked_row row;
    const auto how = GENERATE(given_up::timed_out, given_up::cancelled);
    outcome<pgstate::saved> saved;
    outcome<bool> erased;
    asio::cancellation_signal stop;
    pgstate::save_options options;
    if (how == given_up::timed_out) options.timeout = 300ms;
    row.f.store.save(numbered_state(1), options,
                     as_result(asio::bind_cancellation_slot(stop.slot(), saved.handler())));
    row.f.wait_until(row.observer, waits_for_a_lock("INSERT"));
    if (how == given_up::cancelled) stop.emit(asio::cancellation_type::terminal);
    REQUIRE(saved.wait(row.f.context).has_error());
    row.f.store.erase("a", "s", as_result(erased.handler()));
    if (how == given_up::cancelled) pqxx::nontransaction(row.observer).exec(end_those_who_wait_for_a_lock);

    // Now the erase waits for the lock, and the save does not any more.
    row.f.wait_until(row.observer, waits_for_a_lock("DELETE"));
    CHECK_FALSE(pqxx::nontransaction(row.observer).exec(waits_for_a_lock("INSERT"))[0][0].as<bool>());
    row.lock->let_go();
    REQUIRE(erased.wait(row.f.context).has_value());
    CHECK(erased.value->value());
    CHECK_FALSE(row.loaded().has_value());
    CHECK(saved.calls == 1);
}

TEST_CASE("a save that was given up and is found in its row is over at once", "[settlement]") {
    opened_store f;
    // Its answer takes longer than its time; what it wrote is committed.
    run_on(
        f.database,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(7);"
        " RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON agent_states DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION slow()");
    open_transaction lock(f.database, "SELECT pg_advisory_xact_lock(7)");
    outcome<pgstate::saved> saved;
    f.store.save(numbered_state(1), {.timeout = 300ms}, as_result(saved.handler()));
    REQUIRE(saved.wait(f.context).has_error());
    CHECK(saved.value->error() == errc::timed_out);
    lock.let_go();
    // Applied or not, the next write of the key comes after it.
    f.wait(f.store.save(numbered_state(2)));
    CHECK(f.wait(f.store.load("a", "s"))->data.at("value").as_int64() == 2);
}

TEST_CASE("the server gives up what takes longer than an operation may", "[settlement]") {
    pgstate::config base;
    base.operation_timeout = 2s; // for open as well
    opened_store f({}, base);
    f.wait(f.store.save(numbered_state(1)));
    const row_lock lock(f.database, "a", "s");
    pqxx::connection observer(f.database);
    const auto late = f.wait(f.store.save(numbered_state(2), as_result));
    REQUIRE(late.has_error());
    CHECK((late.error() == errc::timed_out || late.error().sqlstate() == "57014"));
    f.wait_until(observer, "SELECT 0 = (" + std::string(waiters_for_a_lock) + ")");
}

TEST_CASE("a statement_timeout that is there stays", "[settlement]") {
    const auto shown = [](const std::string& parameters, std::chrono::milliseconds operation_timeout) {
        pgstate::config base;
        base.operation_timeout = operation_timeout;
        opened_store f(parameters, base);
        return f.on_pool("SHOW statement_timeout")[0][0].as<std::string>();
    };
    CHECK(shown({}, 7s) == "7s");
    CHECK(shown({}, 0s) == "0");
    CHECK(shown("&options=-c%20statement_timeout%3D5s", 7s) == "5s");
    CHECK(shown("&options=-c%20statement_timeout%3D0", 7s) == "0"); // whoever says none means it
}
