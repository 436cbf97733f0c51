#include "support/checks.hpp"
#include "support/states.hpp"
#include "support/stores.hpp"

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
using pgstate::errc;

namespace {

/// Ids that no operation takes.
std::vector<std::string> bad_ids() {
    auto ids = bad_texts();
    ids.emplace_back();
    ids.push_back(std::string(pgstate::max_key_bytes + 1, 'k'));
    return ids;
}

void check_refused(const pgstate::error& error, const std::string& operation, const std::string& argument) {
    INFO(error.what());
    CHECK(error.operation() == operation);
    CHECK(names(error, operation));
    CHECK(names(error, argument));
}

} // namespace

TEST_CASE("bad ids are refused by name", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        for (const auto& bad : bad_ids()) {
            for (const bool agent : {true, false}) {
                const std::string a = agent ? bad : "a";
                const std::string s = agent ? "s" : bad;
                const std::string name = agent ? "agent_id" : "session_id";
                const agent_state state(a, s);
                const auto saved = co_await store->save(state, as_result);
                check_refused(require_failure(saved, errc::invalid_argument), "save", name);
                const auto loaded = co_await store->load(a, s, as_result);
                check_refused(require_failure(loaded, errc::invalid_argument), "load", name);
                const auto erased = co_await store->erase(a, s, as_result);
                check_refused(require_failure(erased, errc::invalid_argument), "erase", name);
            }
            const auto listed = co_await store->list(bad, as_result);
            check_refused(require_failure(listed, errc::invalid_argument), "list", "agent_id");
            const auto counted = co_await store->count(bad, as_result);
            check_refused(require_failure(counted, errc::invalid_argument), "count", "agent_id");
        }
        co_await check_count(*store, 0);
    });
}

TEST_CASE("the longest key is saved, and one byte more is refused", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        for (const std::size_t part :
             {std::size_t{1}, pgstate::max_key_bytes / 2, pgstate::max_key_bytes - 1}) {
            // Hard to compress: the index must hold it as it is.
            std::string text;
            for (unsigned x = 1; text.size() < pgstate::max_key_bytes; x = x * 1664525u + 1013904223u)
                text += static_cast<char>('!' + (x >> 24) % 90);
            const std::string agent = text.substr(0, part);
            const std::string session = text.substr(part);
            agent_state state(agent, session);
            co_await store->save(state);
            co_await check_exists(*store, agent, session);
            state.session_id += 'x';
            const auto refused = co_await store->save(state, as_result);
            check_refused(require_failure(refused, errc::invalid_argument), "save", "session_id");
        }
    });
}

TEST_CASE("text that PostgreSQL cannot hold is refused wherever it stands", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    using edit = std::function<void(agent_state&, const std::string&)>;
    const std::vector<std::pair<std::string, edit>> places = {
        {"data", [](agent_state& s, const std::string& t) { s.data["x"] = t; }},
        {"data", [](agent_state& s, const std::string& t) { s.data[t] = 1; }},
        {"data",
         [](agent_state& s, const std::string& t) {
             s.data["x"] = {1, {{"y", {2, t}}}};
         }},
        {"context",
         [](agent_state& s, const std::string& t) {
             s.context["x"] = {{t, nullptr}};
         }},
        {"context", [](agent_state& s, const std::string& t) { s.context["x"] = t; }},
        {"history[1].role", [](agent_state& s, const std::string& t) { s.history[1].role = t; }},
        {"history[1].content", [](agent_state& s, const std::string& t) { s.history[1].content = t; }},
        {"history[1].metadata", [](agent_state& s, const std::string& t) { s.history[1].metadata["x"] = t; }},
        {"history[1].metadata", [](agent_state& s, const std::string& t) { s.history[1].metadata[t] = 1; }},
        {"history[1].extra", [](agent_state& s, const std::string& t) { s.history[1].extra["x"] = {t}; }},
        {"history[1].extra", [](agent_state& s, const std::string& t) { s.history[1].extra[t] = 1; }},
        {"extra", [](agent_state& s, const std::string& t) { s.extra["x"] = t; }},
        {"extra", [](agent_state& s, const std::string& t) { s.extra[t] = 1; }},
    };
    store.run([&]() -> asio::awaitable<void> {
        for (const auto& [place, apply] : places) {
            for (const auto& bad : bad_texts()) {
                agent_state state = full_state("a", "s");
                apply(state, bad);
                const auto saved = co_await store->save(state, as_result);
                const auto error = require_failure(saved, errc::invalid_argument);
                check_refused(error, "save", place);
                CHECK_FALSE(names(error, bad)); // contents stay out of messages
            }
        }
        co_await check_count(*store, 0);
    });
}

TEST_CASE("numbers that JSON does not have are refused", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        using limits = std::numeric_limits<double>;
        for (const double bad : {limits::quiet_NaN(), limits::infinity(), -limits::infinity()}) {
            agent_state state("a", "s");
            state.context["x"] = {1, {{"y", bad}}};
            const auto saved = co_await store->save(state, as_result);
            check_refused(require_failure(saved, errc::invalid_argument), "save", "context");
        }
        co_await check_count(*store, 0);
    });
}

TEST_CASE("extra cannot stand in for a known member", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        for (const char* name : {"agent_id", "session_id", "version", "data", "history", "context",
                                 "created_at", "updated_at"}) {
            agent_state state("a", "s");
            state.extra[name] = "x";
            const auto saved = co_await store->save(state, as_result);
            check_refused(require_failure(saved, errc::invalid_argument), "save", "extra");
        }
        for (const char* name : {"role", "content", "timestamp", "metadata"}) {
            agent_state state("a", "s");
            state.extra[name] = "no message";
            co_await store->save(state); // a message's names are free here
            state.history.emplace_back("user", "text");
            state.history[0].extra[name] = "x";
            const auto saved = co_await store->save(state, as_result);
            check_refused(require_failure(saved, errc::invalid_argument), "save", "history[0].extra");
        }
    });
}

TEST_CASE("a time that RFC 3339 cannot hold is refused", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        for (const auto when : {pgstate::timestamp::max(), pgstate::timestamp::min()}) {
            agent_state state("a", "s");
            state.history.emplace_back("user", "text", when);
            const auto saved = co_await store->save(state, as_result);
            check_refused(require_failure(saved, errc::invalid_argument), "save", "history[0].timestamp");
        }
    });
}

TEST_CASE("a negative time-out is refused", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    constexpr std::chrono::milliseconds negative(-1);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        const auto saved = co_await store->save(state, pgstate::save_options{.timeout = negative}, as_result);
        check_refused(require_failure(saved, errc::invalid_argument), "save", "timeout");
        const auto checked = co_await store->health_check(pgstate::call_options{negative}, as_result);
        CHECK(names(require_failure(checked, errc::invalid_argument), "timeout"));
        const auto loaded = co_await store->load("a", "s", pgstate::load_options{negative}, as_result);
        check_refused(require_failure(loaded, errc::invalid_argument), "load", "timeout");
        const auto erased =
            co_await store->erase("a", "s", pgstate::erase_options{.timeout = negative}, as_result);
        check_refused(require_failure(erased, errc::invalid_argument), "erase", "timeout");
        const pgstate::list_options options(10, {}, negative);
        const auto listed = co_await store->list("a", options, as_result);
        check_refused(require_failure(listed, errc::invalid_argument), "list", "timeout");
        const auto counted = co_await store->count(pgstate::count_options{.timeout = negative}, as_result);
        check_refused(require_failure(counted, errc::invalid_argument), "count", "timeout");
        const auto done =
            co_await store->transaction([](pgstate::transaction&) { FAIL("called"); },
                                        pgstate::transaction_options{.timeout = negative}, as_result);
        check_refused(require_failure(done, errc::invalid_argument), "transaction", "timeout");
        const auto retried =
            co_await store->transaction([](pgstate::transaction&) { FAIL("called"); },
                                        pgstate::transaction_options{.max_retries = -1}, as_result);
        check_refused(require_failure(retried, errc::invalid_argument), "transaction", "max_retries");
        co_await check_count(*store, 0);
    });
}
