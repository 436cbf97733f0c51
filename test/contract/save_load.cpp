#include "support/checks.hpp"
#include "support/states.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <bit>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;

TEST_CASE("a state comes back as it was saved", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    const agent_state original = full_state("agent-1", "session-1");
    const auto loaded = store.run([&]() -> asio::awaitable<agent_state> {
        const auto saved = co_await store->save(original);
        CHECK(saved.version > 0);
        CHECK(saved.created_at == saved.updated_at);
        auto found = co_await store->load("agent-1", "session-1");
        REQUIRE(found.has_value());
        CHECK(found->version == saved.version);
        CHECK(found->created_at == saved.created_at);
        CHECK(found->updated_at == saved.updated_at);
        co_return *found;
    });
    CHECK(contents_of(loaded) == contents_of(original));
}

TEST_CASE("a missing state is no error", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("agent", "session");
        co_await store->save(state);
        co_await check_missing(*store, "agent", "other");
        co_await check_missing(*store, "other", "session");
        co_await check_missing(*store, "session", "agent");
        co_await check_exists(*store, "agent", "session");
    });
}

TEST_CASE("an empty state comes back empty", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        co_await store->save(state);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(contents_of(*loaded) == contents_of(state));
    });
}

TEST_CASE("text of every language survives, as values and as names", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    agent_state state("агент-智能体-وكيل-🤖", "séance – जॅक – ทดสอบ");
    for (const std::string& text : many_texts()) {
        state.data[text] = text;
        state.context[text] = boost::json::object{{text, boost::json::array{text}}};
        state.extra[text] = text;
        state.history.emplace_back(text, text);
        state.history.back().metadata[text] = text;
        state.history.back().extra[text] = text;
    }
    store.run([&]() -> asio::awaitable<void> {
        co_await store->save(state);
        const auto loaded = co_await store->load(state.agent_id, state.session_id);
        REQUIRE(loaded.has_value());
        CHECK(contents_of(*loaded) == contents_of(state));
        const auto page = co_await store->list(state.agent_id);
        REQUIRE(page.size() == 1);
        CHECK(page.sessions[0].session_id == state.session_id);
    });
}

TEST_CASE("64-bit integers keep their value and doubles every bit", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    agent_state state("a", "s");
    boost::json::array integers = {0,
                                   -1,
                                   std::numeric_limits<std::int64_t>::min(),
                                   std::numeric_limits<std::int64_t>::max(),
                                   std::numeric_limits<std::uint64_t>::max(),
                                   std::uint64_t{9223372036854775808u},
                                   9007199254740993};
    boost::json::array doubles = {1.0,
                                  -1.0,
                                  0.0,
                                  0.1,
                                  -0.3,
                                  1.0 / 3,
                                  1e15,
                                  1e16,
                                  1e21,
                                  1e22,
                                  1e23,
                                  1.7976931348623157e308,
                                  5e-324,
                                  1e-7,
                                  2.5e-8,
                                  1e300,
                                  4503599627370496.5,
                                  9007199254740992.0,
                                  9223372036854775808.0,
                                  18446744073709551616.0,
                                  18446744073709549568.0,
                                  36893488147419103232.0,
                                  2.2250738585072014e-308,
                                  123456789012345680.0};
    std::mt19937_64 random(20240607);
    while (doubles.size() < 2000) {
        const auto d = std::bit_cast<double>(random());
        if (std::isfinite(d) && d != 0) doubles.emplace_back(d);
    }
    state.data["integers"] = integers;
    state.data["doubles"] = doubles;
    store.run([&]() -> asio::awaitable<void> {
        co_await store->save(state);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("integers") == integers);
        for (const auto& value : loaded->data.at("integers").as_array())
            CHECK((value.is_int64() || value.is_uint64()));
        const auto& back = loaded->data.at("doubles").as_array();
        REQUIRE(back.size() == doubles.size());
        for (std::size_t i = 0; i < back.size(); ++i) {
            INFO(doubles[i].as_double());
            REQUIRE(back[i].is_double());
            REQUIRE(std::bit_cast<std::uint64_t>(back[i].as_double()) ==
                    std::bit_cast<std::uint64_t>(doubles[i].as_double()));
        }
    });
}

TEST_CASE("negative zero becomes zero", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    agent_state state("a", "s");
    state.data["zero"] = -0.0;
    store.run([&]() -> asio::awaitable<void> {
        co_await store->save(state);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        REQUIRE(loaded->data.at("zero").is_double());
        CHECK(std::bit_cast<std::uint64_t>(loaded->data.at("zero").as_double()) == 0);
    });
}

TEST_CASE("a state of two megabytes comes back whole", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    agent_state state("a", "s");
    std::string text;
    while (text.size() < (std::size_t{1} << 20))
        text += "line \"" + std::to_string(text.size()) + "\" – ü 🤖\n";
    state.data["text"] = text;
    for (int i = 0; i < 10'000; ++i)
        state.history.emplace_back(i % 2 ? "assistant" : "user",
                                   "message number " + std::to_string(i) +
                                       " with some more words to be a real one");
    store.run([&]() -> asio::awaitable<void> {
        co_await store->save(state);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK((contents_of(*loaded) == contents_of(state))); // not expanded: nobody reads two megabytes
    });
}

TEST_CASE("nesting is kept to the limit and refused beyond it", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    agent_state state("a", "s");
    store.run([&]() -> asio::awaitable<void> {
        state.data["deep"] = nested(510); // in `data`, in the document
        co_await store->save(state);
        auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK((loaded->data == state.data));

        state.data["deep"] = nested(511);
        const auto refused = co_await store->save(state, pgstate::as_result);
        const auto error = require_failure(refused, pgstate::errc::invalid_argument);
        CHECK(names(error, "512"));
        CHECK(names(error, "data"));
        loaded = co_await store->load("a", "s");
        CHECK((loaded->data.at("deep") == nested(510)));
    });
}

TEST_CASE("a save replaces the state and keeps created_at", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state first = full_state("a", "s");
        const auto made = co_await store->save(first);
        agent_state second("a", "s");
        second.data["only"] = true;
        const auto replaced = co_await store->save(second);
        CHECK(replaced.version > made.version);
        CHECK(replaced.created_at == made.created_at);
        CHECK(replaced.updated_at >= made.updated_at);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(contents_of(*loaded) == contents_of(second));
        CHECK(loaded->version == replaced.version);
        co_await check_count(*store, 1);
    });
}

TEST_CASE("a state that a save is applied to can be saved again if it is unchanged", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        (co_await store->save(state, {.ttl = std::chrono::hours(1)})).apply_to(state);
        auto loaded = co_await store->load("a", "s");
        CHECK(loaded == state);
        CHECK(state.expires_at.has_value());
        state.data["step"] = 2;
        (co_await store->save(state, {.if_unchanged = true})).apply_to(state);
        (co_await store->append("a", "s", {{"user", "Hello!"}})).apply_to(state);
        state.history.emplace_back("user", "Hello!");
        co_await store->save(state, {.if_unchanged = true});
    });
}

TEST_CASE("versions grow and never repeat, not even after an erase", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        std::int64_t last = 0;
        for (int i = 0; i < 30; ++i) {
            const auto saved = co_await store->save(state);
            CHECK(saved.version > last);
            last = saved.version;
            if (i % 3 == 2) co_await check_erase(*store, "a", "s", true);
        }
    });
}

TEST_CASE("erase says whether there was a state", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        co_await check_erase(*store, "a", "s", false);
        agent_state state("a", "s");
        agent_state neighbour("a", "t");
        co_await store->save(state);
        co_await store->save(neighbour);
        co_await check_erase(*store, "a", "s", true);
        co_await check_erase(*store, "a", "s", false);
        co_await check_missing(*store, "a", "s");
        co_await check_exists(*store, "a", "t");
    });
}

TEST_CASE("what was loaded or saved is the caller's own", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        state.data["value"] = 1;
        co_await store->save(state);
        state.data["value"] = 2;
        auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        loaded->data["value"] = 3;
        const auto again = co_await store->load("a", "s");
        REQUIRE(again.has_value());
        CHECK(again->data.at("value") == 1);
    });
}

TEST_CASE("a healthy store says so", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const auto report = co_await store->health_check({.timeout = std::chrono::seconds(30)});
        CHECK(report.round_trip.count() >= 0);
        CHECK_FALSE(report.read_only);
    });
}
