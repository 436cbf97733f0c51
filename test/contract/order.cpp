#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;

namespace {

/// Starts operations with callbacks and waits for none; `outstanding` says when all are done.
struct starter {
    pgstate::state_store& store;
    int outstanding = 0;

    void save(const std::string& session, int value, std::vector<std::int64_t>* versions = nullptr) {
        ++outstanding;
        agent_state state("a", session);
        state.data["value"] = value;
        const std::size_t at = versions ? versions->size() : 0;
        if (versions) versions->push_back(0);
        store.save(state, [this, versions, at](std::exception_ptr failure, pgstate::saved saved) {
            --outstanding;
            CHECK_FALSE(failure);
            if (versions) (*versions)[at] = saved.version;
        });
    }

    /// Expects `value`, or no state where there is none.
    void load(const std::string& session, std::optional<int> value) {
        ++outstanding;
        store.load("a", session, [this, value](std::exception_ptr failure, std::optional<agent_state> state) {
            --outstanding;
            CHECK_FALSE(failure);
            REQUIRE(state.has_value() == value.has_value());
            if (value) CHECK(state->data.at("value") == *value);
        });
    }

    void erase(const std::string& session, bool expected) {
        ++outstanding;
        store.erase("a", session, [this, expected](std::exception_ptr failure, bool erased) {
            --outstanding;
            CHECK_FALSE(failure);
            CHECK(erased == expected);
        });
    }
};

} // namespace

TEST_CASE("saves of one key take effect in the order of the calls", "[contract]") {
    store_under_test store;
    starter start{*store};
    std::vector<std::int64_t> versions;
    for (int i = 1; i <= 50; ++i)
        start.save("s", i, &versions);
    start.load("s", 50);
    store.run_until([&] { return start.outstanding == 0; });
    for (std::size_t i = 1; i < versions.size(); ++i)
        CHECK(versions[i] > versions[i - 1]);
}

TEST_CASE("a load sees the saves before it and none after", "[contract]") {
    store_under_test store;
    starter start{*store};
    start.load("s", std::nullopt);
    for (int i = 1; i <= 50; ++i) {
        start.save("s", i);
        start.load("s", i);
        if (i % 3 == 0) start.load("s", i);
    }
    store.run_until([&] { return start.outstanding == 0; });
}

TEST_CASE("an erase stands in the order too", "[contract]") {
    store_under_test store;
    starter start{*store};
    for (int i = 0; i < 20; ++i) {
        start.erase("s", false);
        start.save("s", i);
        start.load("s", i);
        start.erase("s", true);
        start.load("s", std::nullopt);
    }
    store.run_until([&] { return start.outstanding == 0; });
}

TEST_CASE("many keys at once keep each its order", "[contract]") {
    store_under_test store;
    starter start{*store};
    std::map<std::string, std::optional<int>> expected;
    unsigned random = 7;
    for (int i = 0; i < 2000; ++i) {
        random = random * 1664525u + 1013904223u;
        const std::string session = "s" + std::to_string((random >> 16) % 10);
        auto& value = expected[session];
        switch ((random >> 28) % 4) {
        case 0:
        case 1: start.save(session, *(value = i)); break;
        case 2: start.load(session, value); break;
        case 3:
            start.erase(session, value.has_value());
            value.reset();
            break;
        }
    }
    store.run_until([&] { return start.outstanding == 0; });
    for (const auto& [session, value] : expected)
        start.load(session, value);
    store.run_until([&] { return start.outstanding == 0; });
}
