#include "support/states.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::checkpoint_info;
using pgstate::errc;

namespace {

agent_state numbered(int value, std::string session = "s") {
    agent_state state("a", std::move(session));
    state.data["value"] = value;
    return state;
}

int value_of(const agent_state& state) {
    return static_cast<int>(state.data.at("value").as_int64());
}

/// Saves 0, 1, ... and makes a checkpoint of each; their versions.
std::vector<std::int64_t> kept_versions(store_under_test& store, int count) {
    std::vector<std::int64_t> versions;
    for (int i = 0; i < count; ++i) {
        versions.push_back(store.wait(store->save(numbered(i))).version);
        store.wait(store->checkpoint("a", "s"));
    }
    return versions;
}

std::vector<std::int64_t> versions_of(const pgstate::checkpoint_page& page) {
    std::vector<std::int64_t> versions;
    for (const auto& each : page)
        versions.push_back(each.version);
    return versions;
}

} // namespace

TEST_CASE("a checkpoint keeps the state as it was", "[contract][checkpoints]") {
    store_under_test store;
    auto state = state_with("a", "s", R"({"value": 1.5, "list": [1, {"x": null}]})");
    state.context["step"] = 1;
    state.extra["kept"] = true;
    state.history = {agent_message("user", "one", pgstate::timestamp(1h))};
    state.history[0].id = "m1";
    const auto saved = store.wait(store->save(state));
    const auto before = store.loaded("a", "s");
    const auto made = store.wait(store->checkpoint("a", "s", {.label = "before the call"}));
    CHECK(made.version == saved.version);
    CHECK(made.label == "before the call");
    CHECK(made.messages == 1);
    CHECK(made.created_at >= saved.updated_at);

    store.wait(store->save(numbered(2)));
    const auto now = store.loaded("a", "s");
    const auto then = store.wait(store->load("a", "s", {.at = saved.version}));
    REQUIRE(then.has_value());
    CHECK(*then == before);
    // The present version needs no checkpoint.
    CHECK(store.wait(store->load("a", "s", {.at = now.version})) == now);
}

TEST_CASE("a checkpoint of the same version is the same, with a new label if there is one",
          "[contract][checkpoints]") {
    store_under_test store;
    store.wait(store->save(numbered(1)));
    const auto first = store.wait(store->checkpoint("a", "s"));
    CHECK(first.label.empty());
    const auto named = store.wait(store->checkpoint("a", "s", {.label = "named"}));
    CHECK(named.version == first.version);
    CHECK(named.created_at == first.created_at);
    CHECK(named.label == "named");
    CHECK(store.wait(store->checkpoint("a", "s")) == named);
    // It changes neither the state's version nor its times.
    const auto loaded = store.loaded("a", "s");
    CHECK(loaded.version == first.version);
    CHECK(store.wait(store->checkpoints("a", "s")).checkpoints == std::vector{named});
}

TEST_CASE("pages of checkpoints, the newest first", "[contract][checkpoints]") {
    store_under_test store;
    auto versions = kept_versions(store, 5);
    std::reverse(versions.begin(), versions.end());
    CHECK(versions_of(store.wait(store->checkpoints("a", "s"))) == versions);
    for (const std::size_t limit : {1u, 2u, 3u, 5u, 6u}) {
        std::vector<std::int64_t> all;
        pgstate::list_options options(limit);
        do {
            const auto page = store.wait(store->checkpoints("a", "s", options));
            CHECK(page.size() <= limit);
            for (const auto version : versions_of(page))
                all.push_back(version);
            options.after = page.next;
        } while (!options.after.empty());
        CHECK(all == versions);
    }
    CHECK(store.wait(store->checkpoints("a", "none")).empty());

    const auto page = store.wait(store->checkpoints("a", "s", pgstate::list_options(1)));
    store.refuses(store->checkpoints("a", "other", pgstate::list_options(1, page.next), as_result),
                  "checkpoints");
    store.refuses(store->checkpoints("a", "s", pgstate::list_options(1, "none"), as_result), "checkpoints",
                  "cursor");
    store.refuses(store->checkpoints("a", "s", pgstate::list_options(0), as_result), "checkpoints", "limit");
    store.refuses(store->checkpoints("a", "s", pgstate::list_options(10'001), as_result), "checkpoints",
                  "limit");
}

TEST_CASE("restore makes the state what it was, as a save does", "[contract][checkpoints]") {
    store_under_test store;
    const auto versions = kept_versions(store, 3);
    const auto restored = store.wait(store->restore("a", "s", versions[0]));
    CHECK(restored.version > versions.back());
    auto loaded = store.loaded("a", "s");
    CHECK(value_of(loaded) == 0);
    CHECK(loaded.version == restored.version);
    CHECK(loaded.created_at == restored.created_at);
    CHECK(store.wait(store->checkpoints("a", "s")).size() == 3);

    const auto conflict =
        store.failure(store->restore("a", "s", versions[1], {.if_version = versions[2]}, as_result),
                      errc::conflict, "restore");
    CHECK(conflict.current_version() == restored.version);
    CHECK(value_of(store.loaded("a", "s")) == 0);
    store.wait(store->restore("a", "s", versions[1], {.if_version = restored.version}));
    CHECK(value_of(store.loaded("a", "s")) == 1);
    // Of the present version: a save of what is there.
    const auto present = store.loaded("a", "s").version;
    CHECK(store.wait(store->restore("a", "s", present)).version > present);
    // A save based on the version before the restore conflicts.
    loaded.data["value"] = 9;
    store.failure(store->save(loaded, {.if_unchanged = true}, as_result), errc::conflict);
}

TEST_CASE("what is not there can be neither loaded, restored nor forked", "[contract][checkpoints]") {
    store_under_test store;
    store.failure(store->checkpoint("a", "s", as_result), errc::not_found, "checkpoint");
    store.failure(store->restore("a", "s", 1, as_result), errc::not_found, "restore");
    store.failure(store->fork("a", "s", "t", as_result), errc::not_found, "fork");
    CHECK_FALSE(store.wait(store->load("a", "s", {.at = 1})).has_value());
    CHECK(store.wait(store->prune("a", "s")) == 0);

    const auto versions = kept_versions(store, 2);
    store.wait(store->prune("a", "s", {.keep = 1}));
    for (const std::int64_t gone : {versions[0], versions[1] + 1'000, std::int64_t{0}, std::int64_t{-1}}) {
        const auto number = std::to_string(gone);
        CHECK(names(store.failure(store->load("a", "s", {.at = gone}, as_result), errc::not_found, "load"),
                    number));
        CHECK(names(store.failure(store->restore("a", "s", gone, as_result), errc::not_found, "restore"),
                    number));
        CHECK(
            names(store.failure(store->fork("a", "s", "t", {.at = gone}, as_result), errc::not_found, "fork"),
                  number));
    }
    CHECK_FALSE(store.has("a", "t"));
    CHECK(value_of(store.loaded("a", "s")) == 1);
}

TEST_CASE("a fork goes on by itself", "[contract][checkpoints]") {
    store_under_test store;
    const auto versions = kept_versions(store, 3);
    const auto made = store.wait(store->fork("a", "s", "then", {.at = versions[1]}));
    const auto now = store.wait(store->fork("a", "s", "now"));
    CHECK(value_of(store.loaded("a", "then")) == 1);
    CHECK(value_of(store.loaded("a", "now")) == 2);
    CHECK(store.loaded("a", "then").version == made.version);
    CHECK(store.loaded("a", "then").session_id == "then");
    CHECK(now.created_at == now.updated_at);
    CHECK(store.wait(store->checkpoints("a", "then")).empty());

    store.wait(store->save(numbered(7, "then")));
    store.wait(store->erase("a", "s"));
    CHECK(value_of(store.loaded("a", "then")) == 7);
    CHECK(value_of(store.loaded("a", "now")) == 2);

    // Over a state that is there: nothing.
    const auto conflict = store.failure(store->fork("a", "now", "then", as_result), errc::conflict, "fork");
    CHECK(conflict.current_version() == store.loaded("a", "then").version);
    store.failure(store->fork("a", "now", "now", as_result), errc::conflict, "fork");
    CHECK(value_of(store.loaded("a", "then")) == 7);
    // The document itself names the new session, as other programs read it.
    pgstate::state_query query;
    query.contains["session_id"] = "now";
    CHECK(store.wait(store->find(query)).size() == 1);
}

TEST_CASE("a state that is loaded at a checkpoint can be saved, but not as unchanged",
          "[contract][checkpoints]") {
    store_under_test store;
    const auto versions = kept_versions(store, 2);
    auto then = *store.wait(store->load("a", "s", {.at = versions[0]}));
    store.failure(store->save(then, {.if_unchanged = true}, as_result), errc::conflict);
    store.wait(store->save(then));
    CHECK(value_of(store.loaded("a", "s")) == 0);
}

TEST_CASE("prune keeps the newest, and the young", "[contract][checkpoints]") {
    store_under_test store;
    const auto versions = kept_versions(store, 5);
    CHECK(store.wait(store->prune("a", "s", {.keep = 10})) == 0);
    CHECK(store.wait(store->prune("a", "s", {.older_than = 1h})) == 0);
    CHECK(store.wait(store->prune("a", "s", {.keep = 3})) == 2);
    CHECK(versions_of(store.wait(store->checkpoints("a", "s"))) ==
          std::vector{versions[4], versions[3], versions[2]});
    CHECK(store.wait(store->prune("a", "s", {.keep = static_cast<std::size_t>(-1), .older_than = 1ms})) == 0);
    CHECK(store.wait(store->prune("a", "s", {.older_than = std::chrono::milliseconds::max()})) == 0);
    CHECK(store.wait(store->prune("a", "s")) == 3);
    CHECK(store.wait(store->checkpoints("a", "s")).empty());
    CHECK(value_of(store.loaded("a", "s")) == 4);
    store.refuses(store->prune("a", "s", {.older_than = -1ms}, as_result), "prune", "older_than");
}

TEST_CASE("checkpoints go with their state", "[contract][checkpoints]") {
    store_under_test store;
    const auto versions = kept_versions(store, 2);
    CHECK(store.wait(store->erase("a", "s")));
    CHECK(store.wait(store->checkpoints("a", "s")).empty());
    CHECK_FALSE(store.wait(store->load("a", "s", {.at = versions[0]})).has_value());
    store.wait(store->save(numbered(9)));
    CHECK(store.wait(store->checkpoints("a", "s")).empty());
    store.failure(store->load("a", "s", {.at = versions[0]}, as_result), errc::not_found);
    store.failure(store->restore("a", "s", versions[1], as_result), errc::not_found);

    // In a transaction as well.
    store.wait(store->checkpoint("a", "s"));
    store.wait(store->transaction([](pgstate::transaction& tx) { tx.erase("a", "s"); }));
    store.wait(store->save(numbered(10)));
    CHECK(store.wait(store->checkpoints("a", "s")).empty());

    const auto before = store.wait(store->checkpoint("a", "s"));
    store.wait(store->transaction([](pgstate::transaction& tx) {
        tx.erase("a", "s");
        tx.save(numbered(11));
    }));
    CHECK(store.wait(store->checkpoints("a", "s")).empty());
    store.failure(store->restore("a", "s", before.version, as_result), errc::not_found);
}

TEST_CASE("those of a state that has expired are not those of the next", "[contract][checkpoints]") {
    store_under_test store;
    const auto first = store.wait(store->save(numbered(1), {.ttl = 1h}));
    store.wait(store->checkpoint("a", "s"));
    store.let_pass(2h);
    store.failure(store->checkpoint("a", "s", as_result), errc::not_found);
    CHECK(store.wait(store->checkpoints("a", "s")).empty());
    CHECK_FALSE(store.wait(store->load("a", "s", {.at = first.version})).has_value());
    store.failure(store->fork("a", "s", "t", {.at = first.version}, as_result), errc::not_found);

    store.wait(store->save(numbered(2)));
    CHECK(store.wait(store->checkpoints("a", "s")).empty());
    store.failure(store->load("a", "s", {.at = first.version}, as_result), errc::not_found);
    store.failure(store->restore("a", "s", first.version, as_result), errc::not_found);
    store.failure(store->fork("a", "s", "t", {.at = first.version}, as_result), errc::not_found);
    const auto made = store.wait(store->checkpoint("a", "s"));
    CHECK(versions_of(store.wait(store->checkpoints("a", "s"))) == std::vector{made.version});
    CHECK(store.wait(store->prune("a", "s", {.keep = 1})) == 0);
    CHECK(store.wait(store->prune("a", "s")) == 1);
}

TEST_CASE("the expiry of what is restored and forked", "[contract][checkpoints]") {
    store_under_test store;
    const auto first = store.wait(store->save(numbered(1), {.ttl = 1h}));
    store.wait(store->checkpoint("a", "s"));
    CHECK(store.wait(store->restore("a", "s", first.version)).expires_at == first.expires_at);
    const auto later = store.wait(store->restore("a", "s", first.version, {.ttl = 3h}));
    CHECK(later.expires_at > *first.expires_at + 1h);
    CHECK_FALSE(store.wait(store->fork("a", "s", "for ever")).expires_at.has_value());
    CHECK(store.wait(store->fork("a", "s", "short", {.ttl = 1h})).expires_at.has_value());
    store.refuses(store->fork("a", "s", "x", {.ttl = 0ms}, as_result), "fork", "ttl");
    store.refuses(store->restore("a", "s", first.version, {.ttl = 0ms}, as_result), "restore", "ttl");
}

TEST_CASE("arguments of operations on checkpoints that are refused", "[contract][checkpoints]") {
    store_under_test store;
    store.wait(store->save(numbered(1)));
    const std::string long_label(1025, 'x');
    const std::string nul("a\0b", 3);
    store.refuses(store->checkpoint("a", "s", {.label = long_label}, as_result), "checkpoint", "label");
    store.refuses(store->checkpoint("a", "s", {.label = nul}, as_result), "checkpoint", "label");
    store.refuses(store->checkpoint("a", "s", {.label = "\xff"}, as_result), "checkpoint", "label");
    const std::string longest(1024, 'x');
    CHECK(store.wait(store->checkpoint("a", "s", {.label = longest})).label == longest);
    store.refuses(store->checkpoint("", "s", as_result), "checkpoint", "agent_id");
    store.refuses(store->checkpoints("a", nul, as_result), "checkpoints", "session_id");
    store.refuses(store->restore("a", "", 1, as_result), "restore", "session_id");
    store.refuses(store->fork("a", "s", "", as_result), "fork", "new_session_id");
    store.refuses(store->fork("a", "s", std::string(3'000, 'x'), as_result), "fork", "new_session_id");
    store.refuses(store->prune("", "s", as_result), "prune", "agent_id");
    store.refuses(store->load_all(std::vector{pgstate::state_key("a", "s")}, {.at = 1}, as_result),
                  "load_all", "at");
    store.refuses(store->checkpoint("a", "s", {.timeout = -1ms}, as_result), "checkpoint", "timeout");
}

TEST_CASE("a random life of saves, appends, checkpoints and forks, against a model",
          "[contract][checkpoints]") {
    store_under_test store;
    std::minstd_rand random(7);
    const auto below = [&](std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); };
    struct model {
        agent_state now;
        std::map<std::int64_t, agent_state> kept;
    };
    std::map<std::string, model> sessions;
    const std::vector<std::string> keys{"s0", "s1", "s2"};
    const auto settle = [&](const std::string& name) {
        auto& of = sessions[name];
        of.now = store.loaded("a", name);
    };
    for (int step = 0; step < 300; ++step) {
        CAPTURE(step);
        const auto& name = keys[below(3)];
        const auto at = sessions.find(name);
        const bool there = at != sessions.end();
        std::optional<std::int64_t> kept;
        if (there && !at->second.kept.empty())
            kept =
                std::next(at->second.kept.begin(), below(static_cast<std::uint32_t>(at->second.kept.size())))
                    ->first;
        switch (below(8)) {
        case 0:
        case 1:
            if (!there) sessions[name] = {};
            store.wait(store->save(numbered(step, name)));
            settle(name);
            CHECK(value_of(sessions[name].now) == step);
            break;
        case 2:
            if (!there) break;
            store.wait(store->append("a", name,
                                     agent_message("user", std::to_string(step), pgstate::timestamp(1h))));
            settle(name);
            CHECK(at->second.now.history.back().content == std::to_string(step));
            break;
        case 3:
            if (!there) break;
            CHECK(store.wait(store->checkpoint("a", name)).version == at->second.now.version);
            at->second.kept[at->second.now.version] = at->second.now;
            break;
        case 4: {
            if (!kept) break;
            store.wait(store->restore("a", name, *kept));
            const auto expected = at->second.kept.at(*kept);
            settle(name);
            CHECK(at->second.now.data == expected.data);
            CHECK(at->second.now.history == expected.history);
            break;
        }
        case 5: {
            const auto& other = keys[below(3)];
            if (!there) break;
            const auto expected = kept ? at->second.kept.at(*kept) : at->second.now;
            if (sessions.contains(other)) {
                store.failure(store->fork("a", name, other, {.at = kept}, as_result), errc::conflict);
                break;
            }
            store.wait(store->fork("a", name, other, {.at = kept}));
            sessions[other] = {};
            settle(other);
            CHECK(sessions[other].now.data == expected.data);
            CHECK(sessions[other].now.history == expected.history);
            break;
        }
        case 6: {
            if (!there) break;
            const std::size_t keep = below(4);
            std::int64_t gone = 0;
            while (at->second.kept.size() > keep) {
                at->second.kept.erase(at->second.kept.begin());
                ++gone;
            }
            CHECK(store.wait(store->prune("a", name, {.keep = keep})) == gone);
            break;
        }
        default:
            if (below(3) != 0) break;
            CHECK(store.wait(store->erase("a", name)) == there);
            sessions.erase(name);
        }
        for (const auto& [session, of] : sessions) {
            CHECK(store.loaded("a", session) == of.now);
            for (const auto& [version, state] : of.kept)
                CHECK(store.wait(store->load("a", session, {.at = version})) == state);
        }
    }
}
