// Rows of expired states that cannot be deleted do not keep the sweeper from the others.

#include "integration/sweep/swept_table.hpp"
#include "support/recorded.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::as_result;
using pgstate::log_level;

namespace {

/// A table with expired states "session-1" (the last to expire) to "session-N", and whatever protects some of them.
struct protected_table : swept_table {
    explicit protected_table(int rows) { fill("a", rows, "now() - i * interval '1 second'"); }

    /// \param which  a condition on s.session_id
    void protect_by_key(const std::string& which) {
        exec("CREATE TABLE keeps (agent_id text, session_id text,"
             " FOREIGN KEY (agent_id, session_id) REFERENCES agent_states);"
             "INSERT INTO keeps SELECT agent_id, session_id FROM agent_states s WHERE " +
             which);
    }
    void protect_by_trigger(const std::string& which, const std::string& how) {
        exec(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE s record; BEGIN s := OLD; IF " +
            which + " THEN " + how +
            " END IF; RETURN OLD; END $$;"
            "CREATE TRIGGER keep BEFORE DELETE ON agent_states FOR EACH ROW EXECUTE FUNCTION keep()");
    }
};

constexpr auto three_sessions = "s.session_id IN ('session-40', 'session-25', 'session-1')";

} // namespace

TEST_CASE("expired states that another table refers to stay, and all others go", "[sweep][protected]") {
    protected_table table(40);
    table.protect_by_key(three_sessions);
    const auto log = std::make_shared<recorded_log>();
    const auto metrics = std::make_shared<recorded_metrics>();
    auto settings = table.on(sweeping(GENERATE(1U, 10U, 500U)));
    settings.logger = log;
    settings.metrics = metrics;
    opened_store sweeper({}, settings);
    table.wait_until_rows(sweeper.context, 3);
    poll_until(sweeper.context, [&] { return sweeper.store.stats().protected_states == 3; });
    CHECK(sweeper.store.stats().swept == 37);
    CHECK(metrics->read("pgstate.sweep.protected") == 3);
    const auto told = log->all("expired states could not be deleted");
    REQUIRE(told.size() == 1);
    CHECK(told.front().level == log_level::warn);
    CHECK(told.front().attributes.at("db.response.status_code") == "23503");
    CHECK(told.front().attributes.at("db.collection.name") == "agent_states");
    for (const auto& record : log->all())
        for (const auto& [name, value] : record.attributes)
            CHECK(value.find("session-") == std::string::npos);
    CHECK(std::ranges::count_if(log->all("operation failed"),
                                [](const auto& each) { return each.level >= log_level::warn; }) <= 1);

    // It goes on: what expires later, and what is protected no more.
    table.exec(
        "INSERT INTO agent_states (agent_id, session_id, state, expires_at) VALUES ('a', 'late', '{}', now())");
    table.wait_until_rows(sweeper.context, 3);
    table.exec("DELETE FROM keeps");
    table.wait_until_rows(sweeper.context, 0);
    poll_until(sweeper.context, [&] { return sweeper.store.stats().protected_states == 0; });
    CHECK(sweeper.store.stats().swept == 41);
}

TEST_CASE("a trigger that keeps some expired states keeps no others", "[sweep][protected]") {
    protected_table table(40);
    const bool raises = GENERATE(true, false);
    table.protect_by_trigger(three_sessions, raises ? "RAISE EXCEPTION 'not this one';" : "RETURN NULL;");
    const auto log = std::make_shared<recorded_log>();
    auto settings = table.on(sweeping(GENERATE(2U, 500U)));
    settings.logger = log;
    opened_store sweeper({}, settings);
    table.wait_until_rows(sweeper.context, 3);
    poll_until(sweeper.context, [&] { return sweeper.store.stats().protected_states == 3; });
    const auto told = log->all("expired states could not be deleted");
    REQUIRE(told.size() == 1);
    CHECK(told.front().attributes.contains("db.response.status_code") == raises);
}

TEST_CASE("a check at commit is seen as one of the rows", "[sweep][protected]") {
    protected_table table(40);
    table.protect_by_key(three_sessions);
    table.exec("ALTER TABLE keeps DROP CONSTRAINT keeps_agent_id_session_id_fkey;"
               "ALTER TABLE keeps ADD FOREIGN KEY (agent_id, session_id) REFERENCES agent_states"
               " DEFERRABLE INITIALLY DEFERRED");
    opened_store sweeper({}, table.on(sweeping(10)));
    table.wait_until_rows(sweeper.context, 3);
    poll_until(sweeper.context, [&] { return sweeper.store.stats().protected_states == 3; });
}

TEST_CASE("protected states do not keep the sweeper busy", "[sweep][protected]") {
    protected_table table(200);
    table.protect_by_key("true");
    opened_store sweeper({}, table.on(sweeping(50)));
    poll_until(sweeper.context, [&] { return sweeper.store.stats().protected_states == 200; });
    const auto before = sweeper.store.stats();
    asio::steady_timer timer(sweeper.context, 150ms); // a period: a new look, which begins behind them
    sweeper.wait(timer.async_wait(asio::use_awaitable));
    CHECK(sweeper.store.stats().statements - before.statements <= 4);
}

TEST_CASE("erasing many states erases those that nothing protects", "[sweep][protected]") {
    protected_table table(40);
    table.exec("UPDATE agent_states SET expires_at = NULL");
    table.protect_by_key(three_sessions);
    opened_store f({}, config_for(table.database));
    std::vector<pgstate::state_key> keys;
    for (int i = 1; i <= 40; ++i)
        keys.emplace_back("a", "session-" + std::to_string(i));
    const auto erased = f.wait(f.store.erase_all(keys, as_result));
    REQUIRE(erased.has_error());
    CHECK(erased.error().sqlstate() == "23503");
    CHECK(names(erased.error(), "keys[0]"));
    CHECK(f.wait(f.store.count()) == 3);
}
