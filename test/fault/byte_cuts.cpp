// Each exchange with the server is cut after every one of its bytes, in both directions, and each time must hold:
// every operation completes once and soon, with success or an error that is true; what was acknowledged is in the table,
// what failed is not, and nothing is applied twice; and the next operation succeeds without anybody's help.

#include "fault/sweep.hpp"
#include "pgstate/pgstate.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

using namespace pgstate_test;
using pgstate::agent_state;

namespace {

/// With histories in documents and in rows.
sweep_exchange sweep_either_layout(std::string name) {
    sweep_exchange what;
    what.rows = GENERATE(false, true);
    if (what.rows) what.stride = 2; // to save time: most of it is the same
    what.name = std::move(name) + (what.rows ? ", in rows" : "");
    return what;
}

sweep_exchange sweep_in_rows(std::string name) {
    sweep_exchange what;
    what.rows = true;
    what.name = std::move(name) + ", in rows";
    return what;
}

} // namespace

TEST_CASE("a save is cut at every byte", "[cuts]") {
    auto what = sweep_either_layout("save");
    what.sessions = {"s"};
    what.start = [](auto& store, sweep_trial& trial, const agent_state&) {
        store.save(sweep_state(trial.agent(), "s", 1), trial.expect<pgstate::saved>(sweep_kind::save, "s"));
    };
    SECTION("the first of its connection") {
        sweep_check(std::move(what));
    }
    SECTION("prepared before") {
        what.name = "prepared " + what.name;
        what.warm_up = [](auto& store, sweep_trial& trial) {
            store.save(sweep_state(trial.agent(), "s", 0), trial.ignored<pgstate::saved>());
        };
        sweep_check(std::move(what));
    }
}

TEST_CASE("a conditional save is cut at every byte", "[cuts]") {
    auto what = sweep_either_layout("conditional save");
    what.sessions = {"s"};
    what.warm_up = [](auto& store, sweep_trial& trial) {
        auto state = sweep_state(trial.agent(), "s", 0);
        state.version = 1;
        store.save(state, {.if_unchanged = true}, trial.ignored<pgstate::saved>());
    };
    what.start = [](auto& store, sweep_trial& trial, const agent_state& first) {
        auto state = sweep_state(trial.agent(), "s", 1);
        state.version = first.version;
        store.save(state, {.if_unchanged = true}, trial.expect<pgstate::saved>(sweep_kind::save, "s"));
    };
    sweep_check(std::move(what));
}

TEST_CASE("a load is cut at every byte", "[cuts]") {
    auto what = sweep_either_layout("load");
    what.sessions = {"s"};
    what.start = [](auto& store, sweep_trial& trial, const agent_state&) {
        store.load(trial.agent(), "s", trial.expect<std::optional<agent_state>>(sweep_kind::load, "s"));
    };
    sweep_check(std::move(what));
}

TEST_CASE("saves and loads that share statements are cut at every byte", "[cuts]") {
    constexpr int saves = 8;
    constexpr int loads = 4;
    auto what = sweep_either_layout("batch");
    what.stride *= 4; // most of it are the statements' texts, which are long
    for (int i = 0; i < saves + loads; ++i)
        what.sessions.push_back("s" + std::to_string(10 + i));
    what.start = [sessions = what.sessions](auto& store, sweep_trial& trial, const agent_state&) {
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
    auto what = sweep_either_layout("append");
    what.sessions = {"s"};
    what.warm_up = [](auto& store, sweep_trial& trial) {
        store.append(trial.agent(), "s", sweep_message(sweep_messages), trial.ignored<pgstate::saved>());
    };
    what.start = [](auto& store, sweep_trial& trial, const agent_state&) {
        store.append(trial.agent(), "s", sweep_message(sweep_messages),
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
    what.start = [](auto& store, sweep_trial& trial, const agent_state&) {
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
    what.start = [](auto& store, sweep_trial& trial, const agent_state&) {
        store.erase(trial.agent(), "s", trial.expect<bool>(sweep_kind::erase, "s"));
    };
    SECTION("on a connection that is there") {
        sweep_check(std::move(what));
    }
    SECTION("of a history in rows") {
        what.rows = true;
        what.name = "erase, in rows";
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
    auto what = sweep_either_layout("transaction");
    what.sessions = {"s1", "s2"};
    what.start = [](auto& store, sweep_trial& trial, const agent_state&) {
        auto work = [agent = trial.agent()](pgstate::transaction& t) {
            t.save(sweep_state(agent, "s1", 1));
            t.erase(agent, "s2");
        };
        store.transaction(std::move(work),
                          trial.expect_together({{sweep_kind::save, "s1"}, {sweep_kind::erase, "s2"}}));
    };
    sweep_check(std::move(what));
}

TEST_CASE("a save that adds to a history in rows is cut at every byte", "[cuts][rows]") {
    auto what = sweep_in_rows("adding save");
    const bool conditional = GENERATE(false, true);
    if (conditional) what.name = "conditional " + what.name;
    what.sessions = {"s"};
    what.warm_up = [](auto& store, sweep_trial& trial) {
        store.update(
            "known", "known", [](agent_state& state) { state.data["value"] = 0; },
            trial.ignored<pgstate::saved>());
    };
    what.start = [conditional](auto& store, sweep_trial& trial, const agent_state& first) {
        auto state = first;
        state.data["value"] = 1;
        state.history.push_back(sweep_message(sweep_messages));
        store.save(state, {.if_unchanged = conditional},
                   trial.expect<pgstate::saved>(sweep_kind::extend, "s"));
    };
    sweep_check(std::move(what));
}

TEST_CASE("an append of a message with an id is cut at every byte", "[cuts][rows][ids]") {
    auto what = sweep_either_layout("append with id");
    what.sessions = {"s"};
    const auto append = [](auto& store, const std::string& agent, auto token) {
        auto message = sweep_message(sweep_messages);
        message.id = "id";
        store.append(agent, "s", std::move(message), std::move(token));
    };
    what.warm_up = [append](auto& store, sweep_trial& trial) {
        append(store, trial.agent(), trial.ignored<pgstate::saved>());
    };
    what.start = [append](auto& store, sweep_trial& trial, const agent_state&) {
        append(store, trial.agent(), trial.expect<pgstate::saved>(sweep_kind::append, "s"));
    };
    sweep_check(std::move(what));
}

TEST_CASE("what is done with checkpoints of a history in rows is cut at every byte",
          "[cuts][rows][checkpoints]") {
    SECTION("a checkpoint") {
        auto what = sweep_in_rows("checkpoint");
        what.stride = 2;
        what.sessions = {"s"};
        what.start = [](auto& store, sweep_trial& trial, const agent_state&) {
            store.checkpoint(trial.agent(), "s",
                             trial.expect<pgstate::checkpoint_info>(sweep_kind::checkpoint, "s"));
        };
        sweep_check(std::move(what));
    }
    SECTION("a restore") {
        auto what = sweep_in_rows("restore");
        what.stride = 2;
        what.sessions = {"s"};
        what.checkpoints = true;
        what.start = [](auto& store, sweep_trial& trial, const agent_state& first) {
            store.restore(trial.agent(), "s", first.version,
                          trial.expect<pgstate::saved>(sweep_kind::restore, "s"));
        };
        sweep_check(std::move(what));
    }
    SECTION("a fork") {
        auto what = sweep_in_rows("fork");
        what.stride = 2;
        what.sessions = {"s"};
        what.checkpoints = true;
        what.start = [](auto& store, sweep_trial& trial, const agent_state& first) {
            store.fork(trial.agent(), "s", "f", {.at = first.version},
                       trial.expect<pgstate::saved>(sweep_kind::fork, "f"));
        };
        sweep_check(std::move(what));
    }
    SECTION("a prune") {
        auto what = sweep_in_rows("prune");
        what.stride = 2;
        what.sessions = {"s"};
        what.checkpoints = true;
        what.start = [](auto& store, sweep_trial& trial, const agent_state&) {
            store.prune(trial.agent(), "s", {.keep = 0}, trial.expect<std::int64_t>(sweep_kind::prune, "s"));
        };
        sweep_check(std::move(what));
    }
}
