// A lock that somebody else holds, and a server that stands still, harm only those who need them.

#include "integration/store_support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::saved;

namespace {

constexpr auto own_backends =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND application_name = 'pgstate'";

void save_some(opened_store& f, int count) {
    std::vector<agent_state> states;
    for (int i = 0; i < count; ++i)
        states.push_back(numbered_state(i, "s" + std::to_string(i)));
    for (const auto& each : f.wait(f.store.save_all(states)))
        REQUIRE(each.has_value());
}

/// The processes that serve the store.
std::vector<int> backends(pqxx::connection& observer) {
    std::vector<int> pids;
    pqxx::nontransaction sql(observer);
    const auto rows = sql.exec("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND "
                               "pid <> pg_backend_pid() AND application_name = 'pgstate' ORDER BY pid");
    for (int i = 0; i < static_cast<int>(rows.size()); ++i)
        pids.push_back(rows[i][0].as<int>());
    return pids;
}

/// SIGSTOP for as long as it lives.
class frozen {
public:
    explicit frozen(int pid) : pid_(pid) { ::kill(pid_, SIGSTOP); }
    frozen(const frozen&) = delete;
    frozen& operator=(const frozen&) = delete;
    ~frozen() { ::kill(pid_, SIGCONT); }

private:
    int pid_;
};

} // namespace

TEST_CASE("of many saves only the one whose row is locked waits", "[locks]") {
    const auto connections = GENERATE(1, 4);
    CAPTURE(connections);
    opened_store f("&pool_max_conns=" + std::to_string(connections), {}, lock_waits::as_configured);
    save_some(f, 400);
    row_lock locked(f.database, "a", "s200");
    std::vector<outcome<saved>> all(400);
    for (int i = 0; i < 400; ++i)
        f.store.save(numbered_state(i + 1, "s" + std::to_string(i)), {.timeout = 20s},
                     as_result(all[static_cast<std::size_t>(i)].handler()));
    const auto over = [&] {
        return std::ranges::count_if(all, [](const auto& each) { return each.over(); });
    };
    run_until(f.context, [&] { return over() == 399; });
    CHECK_FALSE(all[200].over());
    for (const auto& each : all)
        CHECK((!each.over() || each.value->has_value()));
    locked.let_go();
    run_until(f.context, [&] { return over() == 400; });
    CHECK(all[200].value->has_value());
}

TEST_CASE("whose time runs out at a lock is told so, and that nothing was applied", "[locks]") {
    const auto connections = GENERATE(1, 4);
    CAPTURE(connections);
    opened_store f("&pool_max_conns=" + std::to_string(connections), {}, lock_waits::as_configured);
    save_some(f, 1);
    pqxx::connection observer(f.database);
    const auto before = backends(observer);
    {
        const row_lock locked(f.database, "a", "s0");
        const auto state = numbered_state(7, "s0");
        const auto failure =
            require_failure(f.wait(f.store.save(state, {.timeout = 500ms}, as_result)), errc::timed_out);
        CHECK(names(failure, "lock"));
        CHECK(names(failure, "not applied"));
    }
    const auto state = f.wait(f.store.load("a", "s0"));
    CHECK(state->data.at("value") == 0);
    CHECK(std::ranges::includes(backends(observer), before)); // no connection was given up for it
}

TEST_CASE("writes of a key that was locked go one after the other", "[locks]") {
    const auto connections = GENERATE(1, 4);
    CAPTURE(connections);
    opened_store f("&pool_max_conns=" + std::to_string(connections), {}, lock_waits::as_configured);
    save_some(f, 1);
    const auto before = f.wait(f.store.load("a", "s0"));
    {
        const row_lock locked(f.database, "a", "s0");
        require_failure(f.wait(f.store.save(*before, {.timeout = 300ms}, as_result)), errc::timed_out);
    }
    // The store remembers the lock: each of these looks first whether it is there.
    std::vector<outcome<saved>> all(20);
    for (auto& each : all)
        f.store.save(*before, {.if_unchanged = true}, as_result(each.handler()));
    run_until(f.context, [&] { return all_over(all); });
    CHECK(all.front().value->has_value());
    for (std::size_t i = 1; i < all.size(); ++i)
        require_failure(*all[i].value, errc::conflict);
}

TEST_CASE("short time-outs on a locked row cost no connections, and the others nothing", "[locks]") {
    const auto connections = GENERATE(1, 4);
    CAPTURE(connections);
    opened_store f("&pool_max_conns=" + std::to_string(connections), {}, lock_waits::as_configured);
    save_some(f, 64);
    pqxx::connection observer(f.database);
    const row_lock locked(f.database, "a", "s0");
    constexpr int rounds = 40;
    int loops = 0;
    int loads = 0;
    for (int i = 0; i < 4; ++i)
        asio::co_spawn(
            f.context,
            [&]() -> asio::awaitable<void> {
                const std::vector<agent_message> messages{{"user", "hello"}};
                for (int j = 0; j < rounds; ++j)
                    require_failure(
                        co_await f.store.append("a", "s0", messages, {.timeout = 20ms}, as_result),
                        errc::timed_out);
                ++loops;
            },
            asio::detached);
    for (int i = 1; i < 64; ++i)
        asio::co_spawn(
            f.context,
            [&, session = "s" + std::to_string(i)]() -> asio::awaitable<void> {
                while (loops < 4) {
                    const auto state = co_await f.store.load("a", session, {.timeout = 20s});
                    REQUIRE(state.has_value());
                    ++loads;
                }
            },
            asio::detached);
    std::size_t most = 0;
    run_until(f.context, [&] {
        if (loads % 64 == 0)
            most = std::max(most, pqxx::nontransaction(observer).exec(own_backends)[0][0].as<std::size_t>());
        return loops == 4;
    });
    CAPTURE(loads);
    CHECK(most <= static_cast<std::size_t>(connections) + 1);
    CHECK(f.store.pool().stats().new_conns_count <= static_cast<std::size_t>(connections));
}

TEST_CASE("a row that another session inserts is waited for", "[locks]") {
    const auto connections = GENERATE(1, 4);
    CAPTURE(connections);
    opened_store f("&pool_max_conns=" + std::to_string(connections), {}, lock_waits::as_configured);
    pqxx::connection other(f.database);
    std::optional<pqxx::work> insertion(std::in_place, other);
    insertion->exec("INSERT INTO agent_states (agent_id, session_id, state) VALUES ('a', 's0', '{}')");
    std::vector<outcome<saved>> all(20);
    for (int i = 0; i < 20; ++i)
        f.store.save(numbered_state(i, "s" + std::to_string(i)), {.timeout = 20s},
                     as_result(all[static_cast<std::size_t>(i)].handler()));
    const auto over = [&] {
        return std::ranges::count_if(all, [](const auto& each) { return each.over(); });
    };
    run_until(f.context, [&] { return over() == 19; });
    CHECK_FALSE(all[0].over());
    insertion->commit();
    run_until(f.context, [&] { return over() == 20; });
    for (const auto& each : all)
        CHECK(each.value->has_value());
}

TEST_CASE("a table that another session has locked is waited for", "[locks]") {
    opened_store f("&pool_max_conns=4", {}, lock_waits::as_configured);
    save_some(f, 20);
    pqxx::connection other(f.database);
    const std::string mode = GENERATE("SHARE", "ACCESS EXCLUSIVE");
    CAPTURE(mode);
    std::optional<pqxx::work> lock(std::in_place, other);
    lock->exec("LOCK TABLE agent_states IN " + mode + " MODE");
    std::vector<outcome<saved>> all(20);
    for (int i = 0; i < 20; ++i)
        f.store.save(numbered_state(i, "s" + std::to_string(i)), {.timeout = 20s},
                     as_result(all[static_cast<std::size_t>(i)].handler()));
    pqxx::connection observer(f.database);
    f.wait_until(observer, somebody_waits_for_a_lock);
    lock->abort();
    run_until(f.context, [&] { return all_over(all); });
    for (const auto& each : all)
        CHECK(each.value->has_value());
}

TEST_CASE("a process that stands still is given up with its statement's time, whoever waits for that",
          "[locks]") {
    opened_store f("&pool_max_conns=1", {}, lock_waits::as_configured);
    save_some(f, 2);
    pqxx::connection observer(f.database);
    const auto serving = backends(observer);
    REQUIRE(serving.size() == 1);
    {
        const frozen process(serving.front());
        asio::cancellation_signal stop;
        outcome<std::optional<agent_state>> first;
        outcome<std::optional<agent_state>> second;
        f.store.load("a", "s0", {.timeout = 300ms},
                     as_result(asio::bind_cancellation_slot(stop.slot(), first.handler())));
        f.store.load("a", "s1", {.timeout = 300ms}, as_result(second.handler()));
        f.context.restart();
        f.context.run_for(50ms); // they are sent, or will be: the outcome is the same
        stop.emit(asio::cancellation_type::terminal);
        run_until(f.context, [&] { return first.over() && second.over(); });
        // All slots are ending: one connection more serves the others.
        CHECK(f.wait(f.store.load("a", "s0", {.timeout = 20s})).has_value());
        CHECK(f.store.pool().stats().ending_conns == 1);
        CHECK(backends(observer).size() == 2);
    }
    f.wait_until(observer, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = " +
                               std::to_string(serving.front()) + ")");
    poll_until(f.context, [&] { return f.store.pool().stats().ending_conns == 0; });
    CHECK(f.wait(f.store.load("a", "s1")).has_value());
}

TEST_CASE("what may have side effects is not abandoned for a cancellation that allows none",
          "[locks][cancellation]") {
    opened_store f("&pool_max_conns=4", {}, lock_waits::as_configured);
    save_some(f, 1);
    row_lock locked(f.database, "a", "s0");
    asio::cancellation_signal stop;
    bool over = false;
    std::optional<pgstate::error> failure;
    const auto bound = [&] {
        return as_result(asio::bind_cancellation_slot(stop.slot(), [&](auto result) {
            over = true;
            if (result.has_error()) failure = result.error();
        }));
    };
    const std::vector<agent_state> states{numbered_state(5, "s0")};
    const std::string what =
        GENERATE("save", "save_all", "atomic save_all", "transaction", "with_connection");
    CAPTURE(what);
    if (what == "save")
        f.store.save(states.front(), bound());
    else if (what == "save_all")
        f.store.save_all(states, bound());
    else if (what == "atomic save_all")
        f.store.save_all(states, {.atomic = true}, bound());
    else if (what == "transaction")
        f.store.transaction([&](pgstate::transaction& t) { t.save(states.front()); }, bound());
    else
        f.store.pool().with_connection(
            [](pqxx::connection& c) {
                pqxx::nontransaction(c).exec(
                    "UPDATE agent_states SET state = jsonb_set(state, '{data,value}', '5')");
            },
            bound());
    pqxx::connection observer(f.database);
    f.wait_until(observer, somebody_waits_for_a_lock);
    stop.emit(asio::cancellation_type::total);
    locked.let_go();
    run_until(f.context, [&] { return over; });
    // A save that was between two tries was not applied.
    if (failure) {
        CHECK(what == "save");
        CHECK(*failure == asio::error::operation_aborted);
    }
    const auto state = f.wait(f.store.load("a", "s0"));
    CHECK(state->data.at("value") == (failure ? 0 : 5));
}
