#include "pgstate/memory_store.hpp"

#include "support/run.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::memory_store;
using pgstate::timestamp;
using std::chrono::microseconds;

namespace {

const agent_state agent_s("a", "s");

/// A store with the clock of the system.
struct in_memory {
    asio::io_context context;
    memory_store store{context.get_executor()};
    int attempts = 0;

    /// What a member of the state's data is.
    boost::json::value loaded(std::string_view member) {
        const auto state = wait(context, store.load("a", "s"));
        REQUIRE(state.has_value());
        return state->data.at(member);
    }

    /// Starts a save of another program, which nobody waits for.
    void save_beside(const std::string& session, const boost::json::object& data = {}) {
        agent_state other("a", session);
        other.data = data;
        store.save(other, [](std::exception_ptr failure, pgstate::saved) { CHECK_FALSE(failure); });
    }
};

} // namespace

TEST_CASE("a memory_store takes its times from the clock it is given, and counts its versions from 1",
          "[memory]") {
    asio::io_context context;
    const timestamp start{microseconds(1000)};
    timestamp now = start;
    memory_store store(context.get_executor(), [&] { return now; });
    const auto save = [&] { return wait(context, store.save(agent_s)); };
    CHECK(save() == pgstate::saved{1, now, now});
    CHECK(save() == pgstate::saved{2, now, now});
    now += microseconds(500);
    CHECK(save() == pgstate::saved{3, start, now});
    now -= microseconds(1400); // a clock set back
    CHECK(save() == pgstate::saved{4, start, now});
    wait(context, store.erase("a", "s"));
    CHECK(save() == pgstate::saved{5, now, now});
}

TEST_CASE("sessions of one moment are listed in descending order of their bytes", "[memory]") {
    asio::io_context context;
    memory_store store(context.get_executor(), [] { return timestamp(microseconds(5)); });
    for (const char* session : {"b", "Z", "é", "a", "aa"})
        wait(context, store.save(agent_state("a", session)));
    std::vector<std::string> sessions;
    pgstate::list_options options(2);
    do {
        const auto page = wait(context, store.list("a", options));
        for (const auto& s : page)
            sessions.push_back(s.session_id);
        options.after = page.next;
    } while (!options.after.empty());
    CHECK(sessions == std::vector<std::string>{"é", "b", "aa", "a", "Z"});
}

TEST_CASE_METHOD(in_memory, "a transaction that lost a race runs again", "[memory]") {
    const auto add_one = [&](pgstate::transaction& tx) {
        ++attempts;
        auto state = tx.load("a", "s").value_or(agent_s);
        if (attempts == 1) save_beside("s", {{"n", 10}});
        state.data["n"] = (state.data.contains("n") ? state.data.at("n").as_int64() : 0) + 1;
        tx.save(state);
        return attempts;
    };
    CHECK(wait(context, store.transaction(add_one)) == 2);
    CHECK(loaded("n") == 11);
    CHECK(attempts == 2);
}

TEST_CASE_METHOD(in_memory, "a transaction that always loses fails with a serialization failure",
                 "[memory]") {
    const auto lose = [&](pgstate::transaction& tx) {
        ++attempts;
        agent_state mine("a", "s");
        mine.data["writer"] = "transaction";
        tx.save(mine);
        save_beside("s", {{"writer", "other"}});
    };
    const pgstate::transaction_options options{.max_retries = 3};
    const auto result = wait(context, store.transaction(lose, options, as_result));
    REQUIRE(result.has_error());
    CHECK(result.error() == pgstate::sqlstate::serialization_failure);
    CHECK(result.error().sqlstate() == "40001");
    CHECK(result.error().operation() == "transaction");
    CHECK(loaded("writer") == "other");
    CHECK(attempts == 4);
}

TEST_CASE_METHOD(in_memory, "other writers of other keys do not disturb a transaction", "[memory]") {
    wait(context, store.transaction([&](pgstate::transaction& tx) {
        ++attempts;
        tx.save(agent_state("a", "mine"));
        tx.load("a", "only read");
        save_beside("only read");
        save_beside("other");
    }));
    CHECK(wait(context, store.count()) == 3);
    CHECK(attempts == 1);
}

TEST_CASE_METHOD(in_memory, "nobody sees a transaction before its commit", "[memory]") {
    std::optional<bool> seen;
    successes done;
    store.transaction(
        [&](pgstate::transaction& tx) {
            tx.save(agent_s);
            store.load("a", "s",
                       [&](std::exception_ptr, std::optional<agent_state> s) { seen = s.has_value(); });
        },
        done.handler());
    run_until(context, [&] { return done.count == 1 && seen.has_value(); });
    CHECK(seen == false);
}

TEST_CASE_METHOD(in_memory, "a memory_store has no SQL", "[memory]") {
    const auto result =
        wait(context, store.transaction([](pgstate::transaction& tx) { tx.sql(); }, as_result));
    CHECK(names(require_failure(result, errc::invalid_argument), "postgres_store"));
}

TEST_CASE_METHOD(in_memory, "close waits for a transaction that was accepted", "[memory]") {
    std::vector<std::string> events;
    const auto noted = [&](const char* what) {
        return [&events, what](std::exception_ptr failure) {
            CHECK_FALSE(failure);
            events.emplace_back(what);
        };
    };
    store.transaction([&](pgstate::transaction&) { events.emplace_back("ran"); }, noted("completed"));
    store.close(noted("closed"));
    run_until(context, [&] { return events.size() == 3; });
    CHECK(events == std::vector<std::string>{"ran", "completed", "closed"});
}

TEST_CASE("operations outlive the store", "[memory]") {
    asio::io_context context;
    int done = 0;
    {
        memory_store store(context.get_executor());
        store.save(agent_s, [&](std::exception_ptr failure, pgstate::saved) { done += !failure; });
        store.load("a", "s",
                   [&](std::exception_ptr, std::optional<agent_state> s) { done += s.has_value(); });
        store.transaction([&](pgstate::transaction& tx) { done += tx.load("a", "s").has_value(); },
                          [&](std::exception_ptr failure) { done += !failure; });
    }
    context.run();
    CHECK(done == 4);
}

TEST_CASE("what was never run is freed with its context", "[memory]") {
    auto alive = std::make_shared<int>(1);
    {
        auto context = std::make_unique<asio::io_context>();
        memory_store store(context->get_executor());
        const auto never = [alive](auto&&...) { FAIL("ran"); };
        store.save(agent_s, never);
        store.transaction([alive](pgstate::transaction&) { FAIL("ran"); }, never);
        store.close(never);
        CHECK(alive.use_count() > 1);
        context.reset();
    }
    CHECK(alive.use_count() == 1);
}
