#include "support/checks.hpp"
#include "support/stores.hpp"

#include <boost/json/parse.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
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

agent_message message(std::string content) {
    agent_message made;
    made.role = "user";
    made.content = std::move(content);
    return made;
}

std::vector<agent_message> messages(std::initializer_list<const char*> contents) {
    std::vector<agent_message> made;
    for (const auto* content : contents)
        made.push_back(message(content));
    return made;
}

boost::json::object object(const char* text) {
    return boost::json::parse(text).as_object();
}

change_options creating() {
    change_options options;
    options.create = true;
    return options;
}

change_options at_version(std::int64_t version) {
    change_options options;
    options.if_version = version;
    return options;
}

} // namespace

TEST_CASE("append adds to the history and leaves the rest", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        state.data["value"] = 1;
        state.extra["kept"] = true;
        state.history = messages({"one"});
        const auto saved = co_await store->save(state);
        const auto more = messages({"two", "three \"quoted\" \xc3\xa9"});
        const auto appended = co_await store->append("a", "s", more);
        CHECK(appended.version > saved.version);
        CHECK(appended.created_at == saved.created_at);
        CHECK(appended.updated_at >= saved.updated_at);
        auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->version == appended.version);
        CHECK(loaded->data == state.data);
        CHECK(loaded->extra == state.extra);
        REQUIRE(loaded->history.size() == 3);
        CHECK(loaded->history[0].content == "one");
        CHECK(loaded->history[1].content == "two");
        CHECK(loaded->history[2].content == more[1].content);

        // Nothing at all is a change all the same.
        const auto nothing = co_await store->append("a", "s", {});
        CHECK(nothing.version > appended.version);
    });
}

TEST_CASE("append takes a vector, one message, and messages in braces", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    // In expressions with co_await and of temporaries, which is where a compiler may go wrong.
    const auto loaded = store.run([&]() -> asio::awaitable<agent_state> {
        const std::string longer(100, 'x'); // more than what a string keeps in itself
        agent_message whole("tool", longer);
        whole.metadata["n"] = 1;
        co_await store->append("a", "s", {{"user", "Hello!"}}, creating());
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
}

TEST_CASE("100 appends at once: 100 messages, each caller's in order", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> { co_await store->save(agent_state("a", "s")); });
    constexpr int callers = 10;
    constexpr int each = 10;
    int done = 0;
    for (int n = 0; n < each; ++n)
        for (int caller = 0; caller < callers; ++caller) {
            auto one = message(std::to_string(n));
            one.role = std::to_string(caller);
            store->append("a", "s", {one}, as_result([&](pgstate::result<pgstate::saved> result) {
                              ++done;
                              CHECK(result.has_value());
                          }));
        }
    store.run_until([&] { return done == callers * each; });
    store.run([&]() -> asio::awaitable<void> {
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->history.size() == std::size_t{callers} * each);
        std::array<int, callers> next{};
        for (const auto& each_message : loaded->history) {
            auto& expected = next.at(static_cast<std::size_t>(std::stoi(each_message.role)));
            CHECK(each_message.content == std::to_string(expected));
            ++expected;
        }
    });
}

TEST_CASE("merge sets and removes members of data and context", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        state.data = object(R"({"kept":[1,2],"changed":{"deep":1},"gone":true})");
        state.context = object(R"({"kept":1,"gone":2})");
        state.history = messages({"one"});
        co_await store->save(state);
        state_patch patch;
        patch.data = object(R"({"changed":{"other":null},"new":1.5,"quoted \"name\"":"x"})");
        patch.remove_data = {"gone", "was never there"};
        patch.context = object(R"({"new":[]})");
        patch.remove_context = {"gone"};
        const auto merged = co_await store->merge("a", "s", patch);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->version == merged.version);
        CHECK(loaded->data ==
              object(R"({"kept":[1,2],"changed":{"other":null},"new":1.5,"quoted \"name\"":"x"})"));
        CHECK(loaded->context == object(R"({"kept":1,"new":[]})"));
        CHECK(loaded->history == state.history);
    });
}

TEST_CASE("merges of different members at once all take effect", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> { co_await store->save(agent_state("a", "s")); });
    constexpr int writers = 50;
    int done = 0;
    for (int i = 0; i < writers; ++i) {
        state_patch patch;
        patch.data[std::to_string(i)] = i;
        store->merge("a", "s", patch, as_result([&](pgstate::result<pgstate::saved> result) {
                         ++done;
                         CHECK(result.has_value());
                     }));
    }
    store.run_until([&] { return done == writers; });
    store.run([&]() -> asio::awaitable<void> {
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.size() == writers);
    });
}

TEST_CASE("increment adds to a number, and a missing one counts as 0", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        state.data = object(R"({"n":40,"deep":{"x/y~z":1,"list":[1,2,3]},"half":0.5})");
        state.context = object(R"({"n":-1})");
        co_await store->save(state);
        co_await store->increment("a", "s", "/data/n", 2);
        co_await store->increment("a", "s", "/data/new", 7);
        co_await store->increment("a", "s", "/data/deep/x~1y~0z", -3);
        co_await store->increment("a", "s", "/data/deep/list/1", 10);
        co_await store->increment("a", "s", "/data/half", 0.25);
        const auto last = co_await store->increment("a", "s", "/context/n", 1);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->version == last.version);
        CHECK(loaded->data == object(R"({"n":42,"deep":{"x/y~z":-2,"list":[1,12,3]},"half":0.75,"new":7})"));
        CHECK(loaded->context == object(R"({"n":0})"));
    });
}

TEST_CASE("100 increments at once add up", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    constexpr int writers = 100;
    int done = 0;
    for (int i = 0; i < writers; ++i)
        store->increment("a", "s", "/data/deep/n", 1, creating(),
                         as_result([&](pgstate::result<pgstate::saved> result) {
                             ++done;
                             CHECK(result.has_value());
                         }));
    store.run_until([&] { return done == writers; });
    store.run([&]() -> asio::awaitable<void> {
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data == object(R"({"deep":{"n":100}})"));
    });
}

TEST_CASE("an increment that cannot be is refused and changes nothing", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        state.data = object(R"({"text":"12","object":{},"null":null,"large":9223372036854775807})");
        state.data["largest"] = std::numeric_limits<std::uint64_t>::max();
        state.data["smallest"] = std::numeric_limits<std::int64_t>::min();
        state.data["double"] = 1e300;
        const auto saved = co_await store->save(state);
        for (const auto* pointer : {"/data/text", "/data/object", "/data/null", "/data/text/deeper",
                                    "/data/missing/deeper", "/data/largest", "/data/double"}) {
            CAPTURE(pointer);
            const auto result = co_await store->increment("a", "s", pointer, 1, as_result);
            CHECK(require_failure(result, errc::invalid_argument).operation() == "increment");
        }
        const auto below = co_await store->increment("a", "s", "/data/smallest", -1, as_result);
        require_failure(below, errc::invalid_argument);
        for (const auto* pointer : {"", "/data", "/data~", "data/n", "/history/0", "/context", "/data/~2"}) {
            CAPTURE(pointer);
            const auto result = co_await store->increment("a", "s", pointer, 1, as_result);
            require_failure(result, errc::invalid_argument);
        }
        const auto nan = co_await store->increment("a", "s", "/data/double",
                                                   std::numeric_limits<double>::quiet_NaN(), as_result);
        require_failure(nan, errc::invalid_argument);
        const auto above = co_await store->increment("a", "s", "/data/double", 1.7e308, as_result);
        CHECK(above.has_value());
        const auto beyond = co_await store->increment("a", "s", "/data/double", 1.7e308, as_result);
        require_failure(beyond, errc::invalid_argument);

        auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->version == above->version);
        CHECK(saved.version < above->version);
        loaded->data["double"] = 1e300;
        CHECK(loaded->data == state.data);

        // Past the signed ones, but not past 64 bits.
        co_await store->increment("a", "s", "/data/large", 1);
        co_await store->increment("a", "s", "/data/largest", -1);
        loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("large") == 9223372036854775808U);
        CHECK(loaded->data.at("largest") == std::numeric_limits<std::uint64_t>::max() - 1);
    });
}

TEST_CASE("a change creates nothing unless asked", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        state_patch patch;
        patch.data["value"] = 1;
        const auto more = messages({"one"});
        const auto appended = co_await store->append("a", "s", more, as_result);
        CHECK(require_failure(appended, errc::not_found).operation() == "append");
        const auto merged = co_await store->merge("a", "s", patch, as_result);
        CHECK(require_failure(merged, errc::not_found).operation() == "merge");
        const auto incremented = co_await store->increment("a", "s", "/data/n", 1, as_result);
        CHECK(require_failure(incremented, errc::not_found).operation() == "increment");
        co_await check_missing(*store, "a", "s");

        co_await store->append("a", "append", more, creating());
        co_await store->append("a", "append", more, creating());
        co_await store->merge("a", "merge", patch, creating());
        co_await store->increment("a", "increment", "/data/deep/n", 5, creating());
        const auto one = co_await store->load("a", "append");
        REQUIRE(one.has_value());
        CHECK(one->history.size() == 2);
        const auto two = co_await store->load("a", "merge");
        REQUIRE(two.has_value());
        CHECK(two->data == patch.data);
        const auto three = co_await store->load("a", "increment");
        REQUIRE(three.has_value());
        CHECK(three->data == object(R"({"deep":{"n":5}})"));
        const auto count = co_await store->count("a");
        CHECK(count == 3);
    });
}

TEST_CASE("if_version guards a change and an erase", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        state.data["n"] = 1;
        const auto first = co_await store->save(state);
        const auto second = co_await store->save(state);
        const auto more = messages({"one"});
        const auto stale = at_version(first.version);

        const auto appended = co_await store->append("a", "s", more, stale, as_result);
        CHECK(require_failure(appended, errc::conflict).current_version() == second.version);
        CHECK(appended.error().operation() == "append");
        const auto merged = co_await store->merge("a", "s", state_patch(), stale, as_result);
        CHECK(require_failure(merged, errc::conflict).current_version() == second.version);
        const auto incremented = co_await store->increment("a", "s", "/data/n", 1, stale, as_result);
        CHECK(require_failure(incremented, errc::conflict).current_version() == second.version);
        const pgstate::erase_options stale_erase{.if_version = first.version};
        const auto erased = co_await store->erase("a", "s", stale_erase, as_result);
        CHECK(require_failure(erased, errc::conflict).current_version() == second.version);
        CHECK(erased.error().operation() == "erase");
        const auto same = co_await store->load("a", "s");
        REQUIRE(same.has_value());
        CHECK(same->version == second.version);
        CHECK(same->data == state.data);
        CHECK(same->history.empty());

        const auto third = co_await store->append("a", "s", more, at_version(second.version));
        CHECK(third.version > second.version);
        const pgstate::erase_options right{.if_version = third.version};
        const auto gone = co_await store->erase("a", "s", right);
        CHECK(gone);
        const auto twice = co_await store->erase("a", "s", right);
        CHECK_FALSE(twice);
        const auto missing = co_await store->append("a", "s", more, at_version(third.version), as_result);
        require_failure(missing, errc::not_found);

        auto both = creating();
        both.if_version = 1;
        const auto refused = co_await store->append("a", "s", more, both, as_result);
        require_failure(refused, errc::invalid_argument);
    });
}

TEST_CASE("a change leaves the expiry unless it is given a ttl", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const pgstate::save_options for_an_hour{.ttl = 1h};
        const auto one = messages({"one"});
        const auto two = messages({"two"});
        const auto three = messages({"three"});
        const auto saved = co_await store->save(agent_state("a", "s"), for_an_hour);
        auto changed = co_await store->append("a", "s", one);
        CHECK(changed.expires_at == saved.expires_at);
        changed = co_await store->merge("a", "s", state_patch(), creating());
        CHECK(changed.expires_at == saved.expires_at);
        const std::vector<change_options> both{change_options(), creating()};
        for (auto options : both) {
            options.ttl = 2h;
            changed = co_await store->increment("a", "s", "/data/n", 1, options);
            CHECK(changed.expires_at == changed.updated_at + 2h);
        }
        auto options = creating();
        options.ttl = 3h;
        changed = co_await store->append("a", "new", one, options);
        CHECK(changed.expires_at == changed.updated_at + 3h);
        changed = co_await store->append("a", "another", one, creating());
        CHECK(changed.expires_at == std::nullopt);

        // What has expired is made anew, with nothing of the old left.
        options.ttl = 1h;
        co_await store->append("a", "new", two, options);
        store.let_pass(2h);
        changed = co_await store->append("a", "new", three, creating());
        CHECK(changed.expires_at == std::nullopt);
        const auto loaded = co_await store->load("a", "new");
        REQUIRE(loaded.has_value());
        CHECK(loaded->created_at == changed.created_at);
        REQUIRE(loaded->history.size() == 1);
        CHECK(loaded->history.front().content == "three");
    });
}

TEST_CASE("what jsonb cannot hold is refused in a change as in a save", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const auto saved = co_await store->save(agent_state("a", "s"));
        const std::string nul("x\0y", 3);
        const std::vector<agent_message> with_nul(1, message(nul));
        const auto appended = co_await store->append("a", "s", with_nul, as_result);
        CHECK(require_failure(appended, errc::invalid_argument).operation() == "append");
        state_patch patch;
        patch.data["text"] = nul;
        const auto set = co_await store->merge("a", "s", patch, as_result);
        CHECK(require_failure(set, errc::invalid_argument).operation() == "merge");
        patch = {};
        patch.data[nul] = 1;
        const auto named = co_await store->merge("a", "s", patch, as_result);
        require_failure(named, errc::invalid_argument);
        patch = {};
        patch.remove_context = {nul};
        const auto removed = co_await store->merge("a", "s", patch, as_result);
        require_failure(removed, errc::invalid_argument);
        patch = {};
        patch.data["both"] = 1;
        patch.remove_data = {"both"};
        const auto both = co_await store->merge("a", "s", patch, as_result);
        CHECK(std::string(require_failure(both, errc::invalid_argument).what()).find("remove_data") !=
              std::string::npos);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->version == saved.version);
    });
}

TEST_CASE("an append of a million messages is refused with its size", "[contract][change]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        co_await store->save(agent_state("a", "s"));
        std::vector<agent_message> many(1'000'000, message("x"));
        const auto result = co_await store->append("a", "s", std::move(many), as_result);
        const auto why = std::string(require_failure(result, errc::invalid_argument).what());
        CAPTURE(why);
        CHECK(why.find("bytes of JSON; at most 16777216") != std::string::npos);
    });
}
