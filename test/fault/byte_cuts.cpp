// Each exchange with the server is cut after every one of its bytes, in both directions, and each time must hold:
// every operation completes once and soon, with success or an error that is true; what was acknowledged is in the table,
// what failed is not, and nothing is applied twice; and the next operation succeeds without anybody's help.

#include "fault/sweep.hpp"
#include "pgstate/pgstate.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

using namespace pgstate_test;
using pgstate::agent_state;

TEST_CASE("a save is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "save";
    what.sessions = {"s"};
    what.start = [](auto& store, sweep_trial& trial, std::int64_t) {
        store.save(sweep_state(trial.agent(), "s", 1), trial.expect<pgstate::saved>(sweep_kind::save, "s"));
    };
    SECTION("the first of its connection") {
        sweep_check(std::move(what));
    }
    SECTION("prepared before") {
        what.name = "prepared save";
        what.warm_up = [](auto& store, sweep_trial& trial) {
            store.save(sweep_state(trial.agent(), "s", 0), trial.ignored<pgstate::saved>());
        };
        sweep_check(std::move(what));
    }
}

TEST_CASE("a conditional save is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "conditional save";
    what.sessions = {"s"};
    what.warm_up = [](auto& store, sweep_trial& trial) {
        auto state = sweep_state(trial.agent(), "s", 0);
        state.version = 1;
        store.save(state, {.if_unchanged = true}, trial.ignored<pgstate::saved>());
    };
    what.start = [](auto& store, sweep_trial& trial, std::int64_t version) {
        auto state = sweep_state(trial.agent(), "s", 1);
        state.version = version;
        store.save(state, {.if_unchanged = true}, trial.expect<pgstate::saved>(sweep_kind::save, "s"));
    };
    sweep_check(std::move(what));
}

TEST_CASE("a load is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "load";
    what.sessions = {"s"};
    what.start = [](auto& store, sweep_trial& trial, std::int64_t) {
        store.load(trial.agent(), "s", trial.expect<std::optional<agent_state>>(sweep_kind::load, "s"));
    };
    sweep_check(std::move(what));
}

TEST_CASE("saves and loads that share statements are cut at every byte", "[cuts]") {
    constexpr int saves = 8;
    constexpr int loads = 4;
    sweep_exchange what;
    what.name = "batch";
    what.stride = 4; // most of it are the statements' texts, which are long
    for (int i = 0; i < saves + loads; ++i)
        what.sessions.push_back("s" + std::to_string(10 + i));
    what.start = [sessions = what.sessions](auto& store, sweep_trial& trial, std::int64_t) {
        for (std::size_t i = 0; i < sessions.size(); ++i)
            if (i < saves)
                store.save(sweep_state(trial.agent(), sessions[i], 1),
                           trial.expect<pgstate::saved>(sweep_kind::save, sessions[i]));
            else
                store.load(trial.agent(), sessions[i],
                           trial.expect<std::optional<agent_state>>(sweep_kind::load, sessions[i]));
    };
    sweep_check(std::move(what));
}

TEST_CASE("an append is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "append";
    what.sessions = {"s"};
    what.warm_up = [](auto& store, sweep_trial& trial) {
        store.append(trial.agent(), "s", {pgstate::agent_message("user", "hello")},
                     trial.ignored<pgstate::saved>());
    };
    what.start = [](auto& store, sweep_trial& trial, std::int64_t) {
        store.append(trial.agent(), "s", {pgstate::agent_message("user", "hello")},
                     trial.expect<pgstate::saved>(sweep_kind::append, "s"));
    };
    sweep_check(std::move(what));
}

TEST_CASE("an increment is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "increment";
    what.sessions = {"s"};
    what.warm_up = [](auto& store, sweep_trial& trial) {
        store.increment(trial.agent(), "s", "/data/value", 1, trial.ignored<pgstate::saved>());
    };
    what.start = [](auto& store, sweep_trial& trial, std::int64_t) {
        store.increment(trial.agent(), "s", "/data/value", 1,
                        trial.expect<pgstate::saved>(sweep_kind::increment, "s"));
    };
    sweep_check(std::move(what));
}

TEST_CASE("an erase is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "erase";
    what.sessions = {"s"};
    what.warm_up = [](auto& store, sweep_trial& trial) {
        store.erase(trial.agent(), "s", trial.ignored<bool>());
    };
    what.start = [](auto& store, sweep_trial& trial, std::int64_t) {
        store.erase(trial.agent(), "s", trial.expect<bool>(sweep_kind::erase, "s"));
    };
    SECTION("on a connection that is there") {
        sweep_check(std::move(what));
    }
    SECTION("in the making of its connection") {
        what.name = "reconnect and erase";
        what.warm_up = {};
        what.reconnects = true;
        sweep_check(std::move(what));
    }
}

TEST_CASE("a transaction is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "transaction";
    what.sessions = {"s1", "s2"};
    what.start = [](auto& store, sweep_trial& trial, std::int64_t) {
        auto work = [agent = trial.agent()](pgstate::transaction& t) {
            t.save(sweep_state(agent, "s1", 1));
            t.erase(agent, "s2");
        };
        store.transaction(std::move(work),
                          trial.expect_together({{sweep_kind::save, "s1"}, {sweep_kind::erase, "s2"}}));
    };
    sweep_check(std::move(what));
}
