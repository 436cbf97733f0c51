// Parts of histories, in rows that other programs wrote, and what they cost.

#include "integration/store_support.hpp"
#include "support/histories.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::history_window;

namespace {

void insert(const std::string& database, const std::string& session, const std::string& document) {
    run_on(database,
           "INSERT INTO agent_states (agent_id, session_id, state, created_at, updated_at) VALUES ('a', '" +
               session + "', '" + document + "', now(), now())");
}

} // namespace

TEST_CASE("a window of an odd history is what a load makes of it", "[windows]") {
    opened_store f;
    const std::vector<std::pair<std::string, std::string>> documents{
        {"none", R"({"data": {"x": 1}})"},
        {"null", R"({"data": {"x": 1}, "history": null})"},
        {"empty", R"({"data": {"x": 1}, "history": []})"},
        {"object", R"({"data": {"x": 1}, "history": {"0": {}}})"},
        {"number", R"({"data": {"x": 1}, "history": 3})"},
        {"element", R"({"data": {"x": 1}, "history": [1, 2]})"},
        {"array", R"([{"history": []}])"},
        {"text", R"("history")"},
    };
    for (const auto& [session, document] : documents)
        insert(f.database, session, document);
    for (const auto& window :
         {history_window::last(1), history_window::after(0), history_window::before(1, 1)}) {
        for (const auto& [session, document] : documents) {
            CAPTURE(session);
            const auto whole = f.wait(f.store.load("a", session, as_result));
            const auto part = f.wait(f.store.load("a", session, {.history = window}, as_result));
            REQUIRE(part.has_value() == whole.has_value());
            if (part)
                CHECK(*part == *whole);
            else
                CHECK(part.error() == errc::corrupt_state);
            pgstate::find_options finding;
            finding.history = window;
            finding.unreadable = pgstate::on_unreadable::skip;
            const auto page = f.wait(f.store.find({}, finding));
            CHECK(page.size() == 3);
            CHECK(page.unreadable.size() == 5);
        }
    }
}

TEST_CASE("a part saved over a history that is no array any more is a conflict", "[windows]") {
    opened_store f;
    f.wait(f.store.save(state_with_messages(3)));
    auto part = f.wait(f.store.load("a", "s", {.history = history_window::last(1)})).value();
    run_on(f.database, R"(UPDATE agent_states SET state = jsonb_set(state, '{history}', '{"a": 1}'))");
    f.failure(f.store.save(part, as_result), errc::conflict);
    f.failure(f.store.save(part, {.if_unchanged = true}, as_result), errc::conflict);
}

TEST_CASE("a window costs what it has, and loads with windows share statements", "[windows]") {
    opened_store f;
    constexpr std::size_t sessions = 100;
    std::vector<agent_state> states;
    std::vector<pgstate::state_key> keys;
    for (std::size_t i = 0; i < sessions; ++i) {
        states.push_back(state_with_messages(i == 0 ? 10'000 : 3, std::to_string(i)));
        keys.emplace_back("a", std::to_string(i));
    }
    f.wait(f.store.save_all(states));
    auto before = f.store.stats();
    auto part = f.wait(f.store.load("a", "0", {.history = history_window::last(5)})).value();
    CHECK(part.history_offset == 9'995);
    auto after = f.store.stats();
    CHECK(after.bytes_received - before.bytes_received < 2'000);

    part.history.push_back(nth_message(10'000));
    f.wait(f.store.save(part)).apply_to(part);
    CHECK(f.store.stats().bytes_sent - after.bytes_sent < 1'000);

    before = f.store.stats();
    const auto loaded = f.wait(f.store.load_all(keys, {.history = history_window::last(2)}));
    for (std::size_t i = 1; i < sessions; ++i)
        check_part(loaded[i].value(), 3, {1, 3});
    CHECK(f.store.stats().statements - before.statements < sessions / 4);
}

TEST_CASE("a part that was not saved when its connection was lost is saved once", "[windows][settlement]") {
    opened_store f;
    f.wait(f.store.save(state_with_messages(3)));
    auto part = f.wait(f.store.load("a", "s", {.history = history_window::last(1)})).value();
    part.history.push_back(nth_message(3));
    row_lock lock(f.database, "a", "s");
    pqxx::connection observer(f.database);
    outcome<pgstate::saved> saved;
    f.store.save(part, {.if_unchanged = GENERATE(false, true)}, as_result(saved.handler()));
    f.lose_waiting(observer);
    CHECK_FALSE(saved.over());
    lock.let_go();
    REQUIRE(saved.wait(f.context).has_value());
    const auto whole = f.wait(f.store.load("a", "s")).value();
    CHECK(whole.history == nth_messages(0, 4));
    saved.value->value().apply_to(part);
    part.history.push_back(nth_message(4));
    f.wait(f.store.save(part, {.if_unchanged = true}));
    CHECK(f.wait(f.store.load("a", "s")).value().history == nth_messages(0, 5));
}

TEST_CASE("a part waits for another writer, and conflicts with what that made", "[windows]") {
    opened_store f;
    f.wait(f.store.save(state_with_messages(3)));
    auto part = f.wait(f.store.load("a", "s", {.history = history_window::last(1)})).value();
    const bool grows = GENERATE(false, true);
    const std::string members = grows ? "{history,3}" : "{data,other}";
    open_transaction other(f.database,
                           "UPDATE agent_states SET version = DEFAULT, state = jsonb_set(state, '" + members +
                               R"(', '{"role": "user"}') WHERE session_id = 's')");
    pqxx::connection observer(f.database);
    outcome<pgstate::saved> saved;
    f.store.save(part, as_result(saved.handler()));
    f.wait_until(observer, somebody_waits_for_a_lock);
    other.commit();
    CHECK(saved.wait(f.context).has_value() != grows);
    if (grows) CHECK(saved.value->error() == errc::conflict);
    CHECK(f.wait(f.store.load("a", "s")).value().history.size() == (grows ? 4U : 3U));
}
