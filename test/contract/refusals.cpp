#include "support/states.hpp"
#include "support/stores.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;

namespace {

/// Ids that no operation takes.
std::vector<std::string> bad_ids() {
    auto ids = bad_texts();
    ids.emplace_back();
    ids.push_back(std::string(pgstate::max_key_bytes + 1, 'k'));
    return ids;
}

} // namespace

TEST_CASE("bad ids are refused by name", "[contract]") {
    store_under_test store;
    for (const auto& bad : bad_ids()) {
        for (const bool agent : {true, false}) {
            const std::string a = agent ? bad : "a";
            const std::string s = agent ? "s" : bad;
            const std::string name = agent ? "agent_id" : "session_id";
            store.refuses(store->save(agent_state(a, s), as_result), "save", name);
            store.refuses(store->load(a, s, as_result), "load", name);
            store.refuses(store->erase(a, s, as_result), "erase", name);
        }
        store.refuses(store->list(bad, as_result), "list", "agent_id");
        store.refuses(store->count(bad, as_result), "count", "agent_id");
    }
    CHECK(store.wait(store->count()) == 0);
}

TEST_CASE("the longest key is saved, and one byte more is refused", "[contract]") {
    store_under_test store;
    for (const std::size_t part : {std::size_t{1}, pgstate::max_key_bytes / 2, pgstate::max_key_bytes - 1}) {
        // Hard to compress: the index must hold it as it is.
        std::string text;
        for (unsigned x = 1; text.size() < pgstate::max_key_bytes; x = x * 1664525u + 1013904223u)
            text += static_cast<char>('!' + (x >> 24) % 90);
        const std::string agent = text.substr(0, part);
        const std::string session = text.substr(part);
        agent_state state(agent, session);
        store.wait(store->save(state));
        CHECK(store.has(agent, session));
        state.session_id += 'x';
        store.refuses(store->save(state, as_result), "save", "session_id");
    }
}

TEST_CASE("text that PostgreSQL cannot hold is refused wherever it stands", "[contract]") {
    store_under_test store;
    using edit = std::function<void(agent_state&, const std::string&)>;
    const std::vector<std::pair<std::string, edit>> places = {
        {"data", [](auto& s, auto& t) { s.data["x"] = t; }},
        {"data", [](auto& s, auto& t) { s.data[t] = 1; }},
        {"data",
         [](auto& s, auto& t) {
             s.data["x"] = boost::json::array{1, {{"y", {2, t}}}};
         }},
        {"context",
         [](auto& s, auto& t) {
             s.context["x"] = boost::json::object{{t, nullptr}};
         }},
        {"context", [](auto& s, auto& t) { s.context["x"] = t; }},
        {"history[1].role", [](auto& s, auto& t) { s.history[1].role = t; }},
        {"history[1].content", [](auto& s, auto& t) { s.history[1].content = t; }},
        {"history[1].metadata", [](auto& s, auto& t) { s.history[1].metadata["x"] = t; }},
        {"history[1].metadata", [](auto& s, auto& t) { s.history[1].metadata[t] = 1; }},
        {"history[1].extra", [](auto& s, auto& t) { s.history[1].extra["x"] = {t}; }},
        {"history[1].extra", [](auto& s, auto& t) { s.history[1].extra[t] = 1; }},
        {"extra", [](auto& s, auto& t) { s.extra["x"] = t; }},
        {"extra", [](auto& s, auto& t) { s.extra[t] = 1; }},
    };
    for (const auto& [place, apply] : places) {
        for (const auto& bad : bad_texts()) {
            agent_state state = full_state("a", "s");
            apply(state, bad);
            const auto error = store.refuses(store->save(state, as_result), "save", place);
            CHECK_FALSE(names(error, bad)); // contents stay out of messages
        }
    }
    CHECK(store.wait(store->count()) == 0);
}

TEST_CASE("numbers that JSON does not have are refused", "[contract]") {
    store_under_test store;
    using limits = std::numeric_limits<double>;
    for (const double bad : {limits::quiet_NaN(), limits::infinity(), -limits::infinity()}) {
        agent_state state("a", "s");
        state.context["x"] = {1, {{"y", bad}}};
        store.refuses(store->save(state, as_result), "save", "context");
    }
    CHECK(store.wait(store->count()) == 0);
}

TEST_CASE("extra cannot stand in for a known member", "[contract]") {
    store_under_test store;
    for (const char* name :
         {"agent_id", "session_id", "version", "data", "history", "context", "created_at", "updated_at"}) {
        agent_state state("a", "s");
        state.extra[name] = "x";
        store.refuses(store->save(state, as_result), "save", "extra");
    }
    for (const char* name : {"role", "content", "timestamp", "metadata"}) {
        agent_state state("a", "s");
        state.extra[name] = "no message";
        store.wait(store->save(state)); // a message's names are free here
        state.history.emplace_back("user", "text");
        state.history[0].extra[name] = "x";
        store.refuses(store->save(state, as_result), "save", "history[0].extra");
    }
}

TEST_CASE("a time that RFC 3339 cannot hold is refused", "[contract]") {
    store_under_test store;
    for (const auto when : {pgstate::timestamp::max(), pgstate::timestamp::min()}) {
        agent_state state("a", "s");
        state.history.emplace_back("user", "text", when);
        store.refuses(store->save(state, as_result), "save", "history[0].timestamp");
    }
}

TEST_CASE("a negative time-out is refused", "[contract]") {
    store_under_test store;
    constexpr std::chrono::milliseconds negative(-1);
    const agent_state state("a", "s");
    const auto never = [](pgstate::transaction&) { FAIL("called"); };
    const pgstate::transaction_options late{.timeout = negative};
    const pgstate::transaction_options again{.max_retries = -1};
    store.refuses(store->save(state, {.timeout = negative}, as_result), "save", "timeout");
    store.refuses(store->health_check(pgstate::call_options{negative}, as_result), "health_check", "timeout");
    store.refuses(store->load("a", "s", pgstate::load_options{.timeout = negative}, as_result), "load",
                  "timeout");
    store.refuses(store->erase("a", "s", {.timeout = negative}, as_result), "erase", "timeout");
    store.refuses(store->list("a", pgstate::list_options(10, {}, negative), as_result), "list", "timeout");
    store.refuses(store->count(pgstate::count_options{.timeout = negative}, as_result), "count", "timeout");
    store.refuses(store->transaction(never, late, as_result), "transaction", "timeout");
    store.refuses(store->transaction(never, again, as_result), "transaction", "max_retries");
    CHECK(store.wait(store->count()) == 0);
}
