#include "support/states.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::change_options;
using pgstate::errc;
using pgstate::state_patch;

namespace {

agent_message message(const std::string& content) {
    return {"user", content, pgstate::timestamp(1h)};
}

constexpr change_options creating{.create = true};

} // namespace

TEST_CASE("append adds to the history and leaves the rest", "[contract][change]") {
    store_under_test store;
    auto state = state_with("a", "s", R"({"value": 1})");
    state.extra["kept"] = true;
    state.history = {message("one")};
    const auto saved = store.wait(store->save(state));
    const std::vector more{message("two"), message("three \"quoted\" \xc3\xa9")};
    const auto appended = store.wait(store->append("a", "s", more));
    CHECK(appended.version > saved.version);
    CHECK(appended.created_at == saved.created_at);
    CHECK(appended.updated_at >= saved.updated_at);
    auto loaded = store.loaded("a", "s");
    CHECK(loaded.version == appended.version);
    CHECK(loaded.data == state.data);
    CHECK(loaded.extra == state.extra);
    REQUIRE(loaded.history.size() == 3);
    CHECK(loaded.history[0].content == "one");
    CHECK(loaded.history[1].content == "two");
    CHECK(loaded.history[2].content == more[1].content);

    // Nothing at all is a change all the same.
    CHECK(store.wait(store->append("a", "s", {})).version > appended.version);
}

TEST_CASE("append takes a vector, one message, and messages in braces", "[contract][change]") {
    store_under_test store;
    const auto before = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    // In expressions with co_await and of temporaries, which is where a compiler may go wrong.
    const auto loaded = store.run([&]() -> asio::awaitable<agent_state> {
        const std::string longer(100, 'x'); // more than what a string keeps in itself
        agent_message whole("tool", longer);
        whole.metadata["n"] = 1;
        co_await store->append("a", "s", {{"user", "Hello!"}}, creating);
        co_await store->append("a", "s", {{"user", "Hello!"}});
        co_await store->append("a", "s", {{"user", longer}, {"assistant", std::string(100, 'y')}});
        co_await store->append("a", "s", agent_message{"user", std::string(100, 'z')});
        co_await store->append("a", "s", agent_message("user", "with options"), {.timeout = 30s});
        co_await store->append("a", "s", whole);
        co_await store->append("a", "s", {whole, {"user", "later", pgstate::timestamp(1s)}}, as_result);
        co_await store->append("a", "s", std::vector<agent_message>{});
        auto moved = std::vector<agent_message>{whole};
        co_await store->append("a", "s", std::move(moved));
        co_return (co_await store->load("a", "s")).value();
    });
    std::vector<std::string> contents;
    for (const auto& each : loaded.history)
        contents.push_back(each.role + ": " + each.content.substr(0, 12));
    CHECK(contents == std::vector<std::string>{"user: Hello!", "user: Hello!", "user: xxxxxxxxxxxx",
                                               "assistant: yyyyyyyyyyyy", "user: zzzzzzzzzzzz",
                                               "user: with options", "tool: xxxxxxxxxxxx",
                                               "tool: xxxxxxxxxxxx", "user: later", "tool: xxxxxxxxxxxx"});
    CHECK(loaded.history[7].metadata.at("n") == 1);
    CHECK(loaded.history[8].timestamp == pgstate::timestamp(1s));
    CHECK(loaded.history[0].timestamp >= before);
    for (std::size_t i = 1; i < loaded.history.size(); ++i)
        if (i != 8) CHECK(loaded.history[i].timestamp >= loaded.history[i == 9 ? 7 : i - 1].timestamp);
    CHECK(loaded.history[9].timestamp <= std::chrono::system_clock::now());
}

TEST_CASE("100 appends at once: 100 messages, each caller's in order", "[contract][change]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    constexpr int callers = 10;
    constexpr int each = 10;
    successes done;
    for (int n = 0; n < each; ++n)
        for (int caller = 0; caller < callers; ++caller)
            store->append("a", "s", agent_message(std::to_string(caller), std::to_string(n)), done.handler());
    store.run_until([&] { return done.count == callers * each; });
    const auto loaded = store.loaded("a", "s");
    CHECK(loaded.history.size() == std::size_t{callers} * each);
    std::array<int, callers> next{};
    for (const auto& each_message : loaded.history) {
        auto& expected = next.at(static_cast<std::size_t>(std::stoi(each_message.role)));
        CHECK(each_message.content == std::to_string(expected));
        ++expected;
    }
}

TEST_CASE("merge sets and removes members of data and context", "[contract][change]") {
    store_under_test store;
    auto state = state_with("a", "s", R"({"kept":[1,2],"changed":{"deep":1},"gone":true})");
    state.context = parsed(R"({"kept":1,"gone":2})");
    state.history = {message("one")};
    store.wait(store->save(state));
    state_patch patch;
    patch.data = parsed(R"({"changed":{"other":null},"new":1.5,"quoted \"name\"":"x"})");
    patch.remove_data = {"gone", "was never there"};
    patch.context = parsed(R"({"new":[]})");
    patch.remove_context = {"gone"};
    const auto merged = store.wait(store->merge("a", "s", patch));
    const auto loaded = store.loaded("a", "s");
    CHECK(loaded.version == merged.version);
    CHECK(loaded.data ==
          parsed(R"({"kept":[1,2],"changed":{"other":null},"new":1.5,"quoted \"name\"":"x"})"));
    CHECK(loaded.context == parsed(R"({"kept":1,"new":[]})"));
    CHECK(loaded.history == state.history);
}

TEST_CASE("merges of different members at once all take effect", "[contract][change]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    constexpr int writers = 50;
    successes done;
    for (int i = 0; i < writers; ++i) {
        state_patch patch;
        patch.data[std::to_string(i)] = i;
        store->merge("a", "s", patch, done.handler());
    }
    store.run_until([&] { return done.count == writers; });
    CHECK(store.loaded("a", "s").data.size() == writers);
}

TEST_CASE("increment adds to a number, and a missing one counts as 0", "[contract][change]") {
    store_under_test store;
    auto state = state_with("a", "s", R"({"n":40,"deep":{"x/y~z":1,"list":[1,2,3]},"half":0.5})");
    state.context = parsed(R"({"n":-1})");
    store.wait(store->save(state));
    store.wait(store->increment("a", "s", "/data/n", 2));
    store.wait(store->increment("a", "s", "/data/new", 7));
    store.wait(store->increment("a", "s", "/data/deep/x~1y~0z", -3));
    store.wait(store->increment("a", "s", "/data/deep/list/1", 10));
    store.wait(store->increment("a", "s", "/data/half", 0.25));
    const auto last = store.wait(store->increment("a", "s", "/context/n", 1));
    const auto loaded = store.loaded("a", "s");
    CHECK(loaded.version == last.version);
    CHECK(loaded.data == parsed(R"({"n":42,"deep":{"x/y~z":-2,"list":[1,12,3]},"half":0.75,"new":7})"));
    CHECK(loaded.context == parsed(R"({"n":0})"));
}

TEST_CASE("100 increments at once add up", "[contract][change]") {
    store_under_test store;
    constexpr int writers = 100;
    successes done;
    for (int i = 0; i < writers; ++i)
        store->increment("a", "s", "/data/deep/n", 1, creating, done.handler());
    store.run_until([&] { return done.count == writers; });
    CHECK(store.loaded("a", "s").data == parsed(R"({"deep":{"n":100}})"));
}

TEST_CASE("an increment that cannot be is refused and changes nothing", "[contract][change]") {
    store_under_test store;
    const auto state = state_with("a", "s", R"({"n":1})");
    const auto saved = store.wait(store->save(state));
    for (const auto* pointer :
         {"", "/data", "/data~", "data/n", "/history/0", "/context", "/data/~2", "/data/n/x", "/data/x/y"}) {
        CAPTURE(pointer);
        store.refuses(store->increment("a", "s", pointer, 1, as_result), "increment");
    }
    constexpr auto nan = std::numeric_limits<double>::quiet_NaN();
    store.refuses(store->increment("a", "s", "/data/n", nan, as_result), "increment");
    const auto loaded = store.loaded("a", "s");
    CHECK(loaded.version == saved.version);
    CHECK(loaded.data == state.data);
}

TEST_CASE("a change creates nothing unless asked", "[contract][change]") {
    store_under_test store;
    state_patch patch;
    patch.data["value"] = 1;
    const std::vector more{message("one")};
    store.failure(store->append("a", "s", more, as_result), errc::not_found, "append");
    store.failure(store->merge("a", "s", patch, as_result), errc::not_found, "merge");
    store.failure(store->increment("a", "s", "/data/n", 1, as_result), errc::not_found, "increment");
    CHECK_FALSE(store.has("a", "s"));

    store.wait(store->append("a", "append", more, creating));
    store.wait(store->append("a", "append", more, creating));
    store.wait(store->merge("a", "merge", patch, creating));
    store.wait(store->increment("a", "increment", "/data/deep/n", 5, creating));
    CHECK(store.loaded("a", "append").history.size() == 2);
    CHECK(store.loaded("a", "merge").data == patch.data);
    CHECK(store.loaded("a", "increment").data == parsed(R"({"deep":{"n":5}})"));
    CHECK(store.wait(store->count("a")) == 3);
}

TEST_CASE("if_version guards a change and an erase", "[contract][change]") {
    store_under_test store;
    const auto state = state_with("a", "s", R"({"n": 1})");
    const auto first = store.wait(store->save(state));
    const auto second = store.wait(store->save(state));
    const std::vector more{message("one")};
    const change_options stale{.if_version = first.version};
    const pgstate::erase_options stale_erase{.if_version = first.version};
    const auto check_conflict = [&](const pgstate::error& error, const char* operation) {
        CHECK(error.current_version() == second.version);
        CHECK(error.operation() == operation);
    };
    check_conflict(store.failure(store->append("a", "s", more, stale, as_result), errc::conflict), "append");
    check_conflict(store.failure(store->merge("a", "s", state_patch(), stale, as_result), errc::conflict),
                   "merge");
    check_conflict(store.failure(store->increment("a", "s", "/data/n", 1, stale, as_result), errc::conflict),
                   "increment");
    check_conflict(store.failure(store->erase("a", "s", stale_erase, as_result), errc::conflict), "erase");
    const auto same = store.loaded("a", "s");
    CHECK(same.version == second.version);
    CHECK(same.data == state.data);
    CHECK(same.history.empty());

    const auto third = store.wait(store->append("a", "s", more, {.if_version = second.version}));
    CHECK(third.version > second.version);
    const pgstate::erase_options right{.if_version = third.version};
    CHECK(store.wait(store->erase("a", "s", right)));
    CHECK_FALSE(store.wait(store->erase("a", "s", right)));
    store.failure(store->append("a", "s", more, {.if_version = third.version}, as_result), errc::not_found);

    const change_options both{.create = true, .if_version = 1};
    store.refuses(store->append("a", "s", more, both, as_result), "append");
}

TEST_CASE("a change leaves the expiry unless it is given a ttl", "[contract][change]") {
    store_under_test store;
    const pgstate::save_options for_an_hour{.ttl = 1h};
    const auto saved = store.wait(store->save(agent_state("a", "s"), for_an_hour));
    auto changed = store.wait(store->append("a", "s", message("one")));
    CHECK(changed.expires_at == saved.expires_at);
    changed = store.wait(store->merge("a", "s", state_patch(), creating));
    CHECK(changed.expires_at == saved.expires_at);
    for (const bool create : {false, true}) {
        changed = store.wait(store->increment("a", "s", "/data/n", 1, {.create = create, .ttl = 2h}));
        CHECK(changed.expires_at == changed.updated_at + 2h);
    }
    changed = store.wait(store->append("a", "new", message("one"), {.create = true, .ttl = 3h}));
    CHECK(changed.expires_at == changed.updated_at + 3h);
    changed = store.wait(store->append("a", "another", message("one"), creating));
    CHECK(changed.expires_at == std::nullopt);

    // What has expired is made anew, with nothing of the old left.
    store.wait(store->append("a", "new", message("two"), {.create = true, .ttl = 1h}));
    store.let_pass(2h);
    changed = store.wait(store->append("a", "new", message("three"), creating));
    CHECK(changed.expires_at == std::nullopt);
    const auto loaded = store.loaded("a", "new");
    CHECK(loaded.created_at == changed.created_at);
    REQUIRE(loaded.history.size() == 1);
    CHECK(loaded.history.front().content == "three");
}

TEST_CASE("what jsonb cannot hold is refused in a change as in a save", "[contract][change]") {
    store_under_test store;
    const auto saved = store.wait(store->save(agent_state("a", "s")));
    const std::string nul("x\0y", 3);
    store.refuses(store->append("a", "s", message(nul), as_result), "append");
    std::vector<state_patch> patches(4);
    patches[0].data["text"] = nul;
    patches[1].data[nul] = 1;
    patches[2].remove_context = {nul};
    patches[3].data["both"] = 1;
    patches[3].remove_data = {"both"};
    for (const auto& patch : patches)
        store.refuses(store->merge("a", "s", patch, as_result), "merge",
                      patch.remove_data.empty() ? "" : "remove_data");
    CHECK(store.loaded("a", "s").version == saved.version);
}

TEST_CASE("an append of more messages than an operation may send is refused with its size",
          "[contract][change]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    std::vector<agent_message> many(300'000, message("x"));
    store.refuses(store->append("a", "s", std::move(many), as_result), "append",
                  "bytes of JSON; at most 16777216");
}
