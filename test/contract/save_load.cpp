#include "support/states.hpp"
#include "support/stores.hpp"

#include <boost/json/array.hpp>

#include <catch2/catch_test_macros.hpp>

#include <bit>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;

TEST_CASE("a state comes back as it was saved", "[contract]") {
    store_under_test store;
    const agent_state original = full_state("agent-1", "session-1");
    const auto saved = store.wait(store->save(original));
    CHECK(saved.version > 0);
    CHECK(saved.created_at == saved.updated_at);
    const auto loaded = store.loaded("agent-1", "session-1");
    CHECK(loaded.version == saved.version);
    CHECK(loaded.created_at == saved.created_at);
    CHECK(loaded.updated_at == saved.updated_at);
    CHECK(contents_of(loaded) == contents_of(original));
}

TEST_CASE("a missing state is no error", "[contract]") {
    store_under_test store;
    store.wait(store->save(agent_state("agent", "session")));
    CHECK_FALSE(store.has("agent", "other"));
    CHECK_FALSE(store.has("other", "session"));
    CHECK_FALSE(store.has("session", "agent"));
    CHECK(store.has("agent", "session"));
}

TEST_CASE("an empty state comes back empty", "[contract]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    CHECK(contents_of(store.loaded("a", "s")) == agent_state("a", "s"));
}

TEST_CASE("text of every language survives, as values and as names", "[contract]") {
    store_under_test store;
    agent_state state("агент-智能体-وكيل-🤖", "séance – जॅक – ทดสอบ");
    for (const std::string& text : many_texts()) {
        state.data[text] = text;
        state.context[text] = boost::json::object{{text, boost::json::array{text}}};
        state.extra[text] = text;
        state.history.emplace_back(text, text, pgstate::timestamp(std::chrono::hours(1)));
        state.history.back().metadata[text] = text;
        state.history.back().extra[text] = text;
    }
    store.wait(store->save(state));
    CHECK(contents_of(store.loaded(state.agent_id, state.session_id)) == contents_of(state));
    const auto page = store.wait(store->list(state.agent_id));
    REQUIRE(page.size() == 1);
    CHECK(page.sessions[0].session_id == state.session_id);
}

TEST_CASE("64-bit integers keep their value and doubles every bit", "[contract]") {
    store_under_test store;
    agent_state state("a", "s");
    boost::json::array integers{0, -1, 9007199254740993};
    integers.emplace_back(std::numeric_limits<std::int64_t>::min());
    integers.emplace_back(std::numeric_limits<std::int64_t>::max());
    integers.emplace_back(std::numeric_limits<std::uint64_t>::max());
    integers.emplace_back(std::uint64_t{9223372036854775808u});
    std::vector<double> doubles;
    for (const double edge :
         {1.0, -1.0, 0.0, 0.1, -0.3, 1.0 / 3, 1e15, 1e16, 1e21, 1e22, 1e23, 1e-7, 2.5e-8, 1e300, 5e-324})
        doubles.push_back(edge);
    for (const double edge : {1.7976931348623157e308, 4503599627370496.5, 9007199254740992.0,
                              9223372036854775808.0, 18446744073709551616.0, 18446744073709549568.0,
                              36893488147419103232.0, 2.2250738585072014e-308, 123456789012345680.0})
        doubles.push_back(edge);
    std::mt19937_64 random(20240607);
    while (doubles.size() < 2000) {
        const auto d = std::bit_cast<double>(random());
        if (std::isfinite(d) && d != 0) doubles.push_back(d);
    }
    state.data["integers"] = integers;
    state.data["doubles"] = boost::json::array(doubles.begin(), doubles.end());
    store.wait(store->save(state));
    const auto loaded = store.loaded("a", "s");
    CHECK(loaded.data.at("integers") == integers);
    for (const auto& value : loaded.data.at("integers").as_array())
        CHECK((value.is_int64() || value.is_uint64()));
    const auto& back = loaded.data.at("doubles").as_array();
    REQUIRE(back.size() == doubles.size());
    for (std::size_t i = 0; i < back.size(); ++i) {
        INFO(doubles[i]);
        REQUIRE(back[i].is_double());
        REQUIRE(std::bit_cast<std::uint64_t>(back[i].as_double()) ==
                std::bit_cast<std::uint64_t>(doubles[i]));
    }
}

TEST_CASE("negative zero becomes zero", "[contract]") {
    store_under_test store;
    agent_state state("a", "s");
    state.data["zero"] = -0.0;
    store.wait(store->save(state));
    const auto loaded = store.loaded("a", "s");
    REQUIRE(loaded.data.at("zero").is_double());
    CHECK(std::bit_cast<std::uint64_t>(loaded.data.at("zero").as_double()) == 0);
}

TEST_CASE("a state of two megabytes comes back whole", "[contract]") {
    store_under_test store;
    agent_state state("a", "s");
    std::string text;
    while (text.size() < (std::size_t{1} << 20))
        text += "line \"" + std::to_string(text.size()) + "\" – ü 🤖\n";
    state.data["text"] = text;
    for (int i = 0; i < 10'000; ++i)
        state.history.emplace_back(i % 2 ? "assistant" : "user",
                                   "message number " + std::to_string(i) +
                                       " with some more words to be a real one",
                                   pgstate::timestamp(std::chrono::seconds(i + 1)));
    store.wait(store->save(state));
    CHECK((contents_of(store.loaded("a", "s")) ==
           contents_of(state))); // not expanded: nobody reads two megabytes
}

TEST_CASE("nesting is kept to the limit and refused beyond it", "[contract]") {
    store_under_test store;
    agent_state state("a", "s");
    state.data["deep"] = nested(510); // in `data`, in the document
    store.wait(store->save(state));
    CHECK((store.loaded("a", "s").data == state.data));

    state.data["deep"] = nested(511);
    CHECK(names(store.refuses(store->save(state, pgstate::as_result), "save", "data"), "512"));
    CHECK((store.loaded("a", "s").data.at("deep") == nested(510)));
}

TEST_CASE("a save replaces the state and keeps created_at", "[contract]") {
    store_under_test store;
    const auto made = store.wait(store->save(full_state("a", "s")));
    const auto second = state_with("a", "s", R"({"only": true})");
    const auto replaced = store.wait(store->save(second));
    CHECK(replaced.version > made.version);
    CHECK(replaced.created_at == made.created_at);
    CHECK(replaced.updated_at >= made.updated_at);
    const auto loaded = store.loaded("a", "s");
    CHECK(contents_of(loaded) == contents_of(second));
    CHECK(loaded.version == replaced.version);
    CHECK(store.wait(store->count()) == 1);
}

TEST_CASE("a state that a save is applied to can be saved again if it is unchanged", "[contract]") {
    store_under_test store;
    agent_state state("a", "s");
    store.wait(store->save(state, {.ttl = std::chrono::hours(1)})).apply_to(state);
    CHECK(store.wait(store->load("a", "s")) == state);
    CHECK(state.expires_at.has_value());
    state.data["step"] = 2;
    store.wait(store->save(state, {.if_unchanged = true})).apply_to(state);
    store.wait(store->append("a", "s", {{"user", "Hello!"}})).apply_to(state);
    state.history.emplace_back("user", "Hello!");
    // A message without a time gets the one that it was stored with, and has it from then on.
    const auto saved = store.wait(store->save(state, {.if_unchanged = true}));
    saved.apply_to(state);
    const auto when = state.history[0].timestamp;
    CHECK(store.loaded("a", "s").history[0].timestamp == when);
    store.wait(store->save(state, {.if_unchanged = true}));
    CHECK(store.loaded("a", "s").history[0].timestamp == when);
}

TEST_CASE("versions grow and never repeat, not even after an erase", "[contract]") {
    store_under_test store;
    agent_state state("a", "s");
    std::int64_t last = 0;
    for (int i = 0; i < 30; ++i) {
        const auto saved = store.wait(store->save(state));
        CHECK(saved.version > last);
        last = saved.version;
        if (i % 3 == 2) CHECK(store.wait(store->erase("a", "s")));
    }
}

TEST_CASE("erase says whether there was a state", "[contract]") {
    store_under_test store;
    CHECK_FALSE(store.wait(store->erase("a", "s")));
    store.wait(store->save(agent_state("a", "s")));
    store.wait(store->save(agent_state("a", "t")));
    CHECK(store.wait(store->erase("a", "s")));
    CHECK_FALSE(store.wait(store->erase("a", "s")));
    CHECK_FALSE(store.has("a", "s"));
    CHECK(store.has("a", "t"));
}

TEST_CASE("what was loaded or saved is the caller's own", "[contract]") {
    store_under_test store;
    auto state = state_with("a", "s", R"({"value": 1})");
    store.wait(store->save(state));
    state.data["value"] = 2;
    auto loaded = store.loaded("a", "s");
    loaded.data["value"] = 3;
    CHECK(store.loaded("a", "s").data.at("value") == 1);
}

TEST_CASE("a healthy store says so", "[contract]") {
    store_under_test store;
    const auto report = store.wait(store->health_check({.timeout = std::chrono::seconds(30)}));
    CHECK(report.round_trip.count() >= 0);
    CHECK_FALSE(report.read_only);
}
