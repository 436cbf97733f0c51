// A store behind PgBouncer in transaction mode, which gives each transaction to any of its few server connections.

#include "integration/pooler.hpp"
#include "integration/store_support.hpp"
#include "wire/session.hpp"

#include <boost/asio/co_spawn.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::statement_mode;

namespace {

constexpr std::size_t callers = 64;

pgstate::config behind(const pooler& of, statement_mode statements) {
    auto settings = config_for(of.connection_string(fresh_database_name()));
    settings.tuning.statements = statements;
    return settings;
}

agent_state pooled_state(std::size_t i) {
    agent_state state("agent-" + std::to_string(i % 8), "session-" + std::to_string(i));
    state.data["i"] = i;
    return state;
}

/// Every kind of operation, 64 at a time.
void use_everything(opened_store& f) {
    auto& store = f.store;
    successes saves;
    for (std::size_t i = 0; i < callers; ++i)
        store.save(pooled_state(i), saves.handler());
    run_until(f.context, [&] { return std::cmp_equal(saves.count, callers); });

    successes mixed;
    for (std::size_t i = 0; i < callers; ++i) {
        const auto state = pooled_state(i);
        switch (i % 8) {
        case 0: {
            const std::vector<pgstate::agent_message> messages(1);
            store.append(state.agent_id, state.session_id, messages, mixed.handler());
            break;
        }
        case 1: store.load(state.agent_id, state.session_id, mixed.handler()); break;
        case 2: store.list(state.agent_id, mixed.handler()); break;
        case 3: {
            pgstate::state_query query;
            query.contains["data"] = {{"i", i}};
            store.find(query, mixed.handler());
            break;
        }
        case 4: store.increment(state.agent_id, state.session_id, "/data/i", 1, mixed.handler()); break;
        case 5: store.count(mixed.handler()); break;
        case 6: store.save(state, mixed.handler()); break;
        default: {
            auto change = [state](pgstate::transaction& with) {
                auto found = with.load(state.agent_id, state.session_id).value();
                found.data["changed"] = true;
                with.save(found);
            };
            store.transaction(std::move(change), mixed.handler());
        }
        }
    }
    run_until(f.context, [&] { return std::cmp_equal(mixed.count, callers); });

    std::vector<pgstate::state_key> keys;
    for (std::size_t i = 0; i < callers; ++i)
        keys.emplace_back(pooled_state(i).agent_id, pooled_state(i).session_id);
    const auto all = f.wait(store.load_all(keys));
    for (std::size_t i = 0; i < callers; ++i) {
        CAPTURE(i);
        REQUIRE(all[i].has_value());
        CHECK(all[i]->data.at("i").to_number<std::size_t>() == (i % 8 == 4 ? i + 1 : i));
        CHECK(all[i]->history.size() == (i % 8 == 0 ? 1 : 0));
        CHECK(all[i]->data.contains("changed") == (i % 8 == 7));
    }
    CHECK(f.wait(store.erase_all(keys)) == callers);
    CHECK_FALSE(f.wait(store.health_check()).read_only);
}

} // namespace

TEST_CASE("a store behind PgBouncer in transaction mode, with unnamed statements", "[pgbouncer]") {
    const pooler between;
    opened_store f("&pool_max_conns=16", behind(between, statement_mode::unnamed));
    use_everything(f);
    CHECK(f.store.stats().retries == 0);
}

TEST_CASE("prepared statements through a PgBouncer that keeps them", "[pgbouncer]") {
    if (!pooler::keeps_prepared_statements())
        SKIP("PgBouncer " << pooler::version()
                          << " keeps no prepared statements in transaction mode; 1.21 does");
    const pooler between({.max_prepared_statements = 100});
    opened_store f("&pool_max_conns=16", behind(between, statement_mode::prepared));
    use_everything(f);
    CHECK(f.store.stats().retries == 0);
}

TEST_CASE("prepared statements through a PgBouncer that does not keep them are done without", "[pgbouncer]") {
    const pooler between;
    opened_store f("&pool_max_conns=8", behind(between, statement_mode::prepared));
    use_everything(f);
    CHECK(f.store.stats().retries > 0);
    // Each connection finds it out once.
    bool quiet = false;
    for (int round = 0; round < 20 && !quiet; ++round) {
        const auto before = f.store.stats().retries;
        use_everything(f);
        quiet = f.store.stats().retries == before;
    }
    CHECK(quiet);
}

TEST_CASE("behind a pooler the server's process is not known, and nothing is set in its sessions",
          "[pgbouncer]") {
    const auto database = fresh_database_name();
    const auto connect = [](const std::string& to) {
        return pgstate::wire::session::connect({to, 10s, 1234ms}, [] { return false; });
    };
    const auto timeout = [](pgstate::wire::session& of) {
        return pqxx::nontransaction(of.enter_blocking())
            .exec("SHOW statement_timeout")[0][0]
            .as<std::string>();
    };
    const auto direct = connect(server().connection_string(database));
    REQUIRE(direct->enter_pipeline());
    CHECK(direct->backend().pid != 0);
    CHECK(timeout(*direct) == "1234ms");

    const pooler between({.server_connections = 1});
    const auto pooled = connect(between.connection_string(database));
    REQUIRE(pooled->enter_pipeline());
    CHECK(pooled->backend().pid == 0);
    CHECK(timeout(*pooled) == "0");
}

namespace {

/// Increments a counter of its own, again and again, whatever becomes of it.
struct incrementing_caller {
    std::string session;
    std::int64_t applied = 0;
    std::int64_t unknown = 0;
    std::int64_t since_restart = 0;
    std::vector<std::string> unexpected{};
};

asio::awaitable<void> go_on_incrementing(pgstate::state_store& store, incrementing_caller& me,
                                         const bool& enough) {
    while (!enough) {
        const auto done = co_await store.increment("a", me.session, "/data/n", 1, as_result);
        if (done.has_value()) {
            ++me.applied;
            ++me.since_restart;
        } else if (done.error() == errc::outcome_unknown) {
            ++me.unknown;
        } else {
            me.unexpected.emplace_back(done.error().what());
        }
    }
}

} // namespace

TEST_CASE("PgBouncer is restarted under load, and the store goes on", "[pgbouncer]") {
    pooler between;
    opened_store f("&pool_max_conns=8", behind(between, statement_mode::unnamed));
    std::vector<incrementing_caller> all(callers);
    bool enough = false;
    std::size_t running = 0;
    for (auto& each : all) {
        each.session = std::to_string(&each - all.data());
        agent_state state("a", each.session);
        state.data["n"] = 0;
        f.wait(f.store.save(state));
    }
    for (auto& each : all) {
        ++running;
        asio::co_spawn(f.context, go_on_incrementing(f.store, each, enough),
                       [&](std::exception_ptr) { --running; });
    }
    const auto everybody_went_on = [&] {
        return std::ranges::all_of(all, [](const auto& each) { return each.since_restart >= 3; });
    };
    for (int restart = 0; restart < 2; ++restart) {
        run_until(f.context, everybody_went_on);
        between.kill();
        between.start();
        for (auto& each : all)
            each.since_restart = 0;
    }
    run_until(f.context, everybody_went_on);
    enough = true;
    run_until(f.context, [&] { return running == 0; });

    for (const auto& each : all) {
        const auto loaded = f.wait(f.store.load("a", each.session));
        REQUIRE(loaded.has_value());
        const auto n = loaded->data.at("n").to_number<std::int64_t>();
        CHECK(n >= each.applied);
        CHECK(n <= each.applied + each.unknown);
        CHECK(each.unexpected == std::vector<std::string>());
    }
}
