// config.history: checkpoints that each save makes.

#include "support/states.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::history_config;

namespace {

agent_state valued(int value, std::string session = "s") {
    agent_state state("a", std::move(session));
    state.data["value"] = value;
    state.history.emplace_back("user", std::to_string(value),
                               pgstate::timestamp(std::chrono::seconds(1 + value)));
    return state;
}

/// Those of session "s", the newest first.
std::vector<std::int64_t> kept(store_under_test& store, const std::string& session = "s") {
    std::vector<std::int64_t> versions;
    for (const auto& each : store.wait(store->checkpoints("a", session)))
        versions.push_back(each.version);
    return versions;
}

int value_at(store_under_test& store, std::int64_t version) {
    const auto found = store.wait(store->load("a", "s", {.at = version}));
    REQUIRE(found.has_value());
    const auto value = static_cast<int>(found->data.at("value").as_int64());
    CHECK(found->history == valued(value).history);
    return value;
}

} // namespace

TEST_CASE("each kind of save makes a checkpoint of its version", "[contract][checkpoints]") {
    store_under_test store(any_kind(), {}, {.checkpoint_every_save = true});
    std::vector<std::int64_t> versions;
    const auto save = [&](agent_state state, pgstate::save_options options = {}) {
        const auto done = store.wait(store->save(state, options));
        versions.insert(versions.begin(), done.version);
        CHECK(kept(store) == versions);
        return done.version;
    };
    save(valued(0));
    auto next = valued(1);
    next.version = save(valued(7)); // over it, keeping its expiry
    save(next);
    next = valued(2);
    next.version = versions.front();
    save(next, {.if_unchanged = true});
    auto loaded = store.loaded("a", "s");
    loaded.data["value"] = 2; // as it is: only what is new is sent
    save(loaded);
    save(valued(3), {.ttl = std::chrono::hours(1)});
    store.failure(store->save(valued(4), {.if_unchanged = true}, as_result), errc::conflict);
    store.wait(store->transaction([](pgstate::transaction& t) { t.save(valued(5)); }));
    const auto after = kept(store);
    REQUIRE(after.size() == versions.size() + 1);
    CHECK(value_at(store, after.front()) == 5);
    CHECK(value_at(store, versions.front()) == 3);
    CHECK(value_at(store, versions.back()) == 0);

    // Other changes make none.
    store.wait(store->append("a", "s", agent_message("user", "more")));
    CHECK(kept(store) == after);

    // Those that share a statement do.
    std::vector<agent_state> many;
    for (int i = 0; i < 20; ++i)
        many.push_back(valued(i, "many " + std::to_string(i)));
    store.wait(store->save_all(many));
    for (const auto& each : many)
        CHECK(kept(store, each.session_id).size() == 1);

    store.wait(store->erase("a", "s"));
    store.wait(store->save(valued(6)));
    CHECK(kept(store).size() == 1);
}

TEST_CASE("a save in part makes a checkpoint too", "[contract][checkpoints][windows]") {
    store_under_test store(any_kind(), {}, {.checkpoint_every_save = true});
    auto state = valued(0);
    state.history.push_back(valued(1).history[0]);
    store.wait(store->save(state));
    auto part = store.wait(store->load("a", "s", {.history = pgstate::history_window::last(1)})).value();
    part.history.push_back(valued(2).history[0]);
    const auto done = store.wait(store->save(part));
    CHECK(kept(store).front() == done.version);
    store.wait(store->save(valued(9)));
    CHECK(store.wait(store->load("a", "s", {.at = done.version})).value().history.size() == 3);
}

TEST_CASE("the newest checkpoints without a label are kept", "[contract][checkpoints]") {
    for (const std::size_t keep : {std::size_t{1}, std::size_t{3}}) {
        store_under_test store(any_kind(), {}, history_config{.checkpoint_every_save = true, .keep = keep});
        std::vector<std::int64_t> versions;
        for (int i = 0; i < 6; ++i) {
            versions.insert(versions.begin(), store.wait(store->save(valued(i))).version);
            if (i == 1) store.wait(store->checkpoint("a", "s", {.label = "mine"}));
        }
        std::vector<std::int64_t> expected(versions.begin(),
                                           versions.begin() + static_cast<std::ptrdiff_t>(keep));
        expected.push_back(versions[4]); // the one with a label
        CHECK(kept(store) == expected);
        CHECK(value_at(store, versions[4]) == 1);
        CHECK(value_at(store, versions[keep - 1]) == 6 - static_cast<int>(keep));
    }
}
