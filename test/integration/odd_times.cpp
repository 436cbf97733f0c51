// Rows with times that neither pgstate nor the Go SDK writes: what they load as, and that pages neither end at them nor repeat
// or skip one.

#include "integration/sweep/swept_table.hpp"
#include "pgstate/rfc3339.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <pqxx/result>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::as_result;
using pgstate::errc;
using pgstate::find_order;
using pgstate::timestamp;

namespace {

constexpr timestamp year_10000 = std::chrono::sys_days(std::chrono::year(10'000) / 1 / 1);
constexpr timestamp ides_of_march =
    std::chrono::sys_days(std::chrono::year(-43) / 3 / 15); // 44 BC, proleptic

struct odd_time {
    const char* text;
    timestamp loaded;
    const char* shown;
};
const std::vector<odd_time> odd_times{
    {"-infinity", timestamp::min(), "0001-01-01T00:00:00.000000Z"},
    {"0044-03-15 00:00:00+00 BC", ides_of_march, "0001-01-01T00:00:00.000000Z"},
    {"0001-12-31 23:59:59.999999+00 BC", std::chrono::sys_days(std::chrono::year(1) / 1 / 1) - 1us,
     "0001-01-01T00:00:00.000000Z"},
    {"9999-12-31 23:59:59.999999+00", year_10000 - 1us, "9999-12-31T23:59:59.999999Z"},
    {"10000-01-01 00:00:00+00", year_10000, "9999-12-31T23:59:59.999999Z"},
    {"294250-01-01 00:00:00+00", timestamp::max(), "9999-12-31T23:59:59.999999Z"}, // behind the clock's end
    {"294276-12-31 23:59:59.999999+00", timestamp::max(), "9999-12-31T23:59:59.999999Z"},
    {"infinity", timestamp::max(), "9999-12-31T23:59:59.999999Z"},
};

void insert(opened_store& on, const std::string& session, const std::string& columns,
            const std::string& values) {
    run_on(on.database, "INSERT INTO agent_states (agent_id, session_id, state, " + columns +
                            ") VALUES ('a', '" + session + "', '{\"data\": {\"n\": 1}}', " + values + ")");
}

/// Three rows with each odd time, and three of today, in both columns.
void fill(opened_store& on) {
    std::string sql =
        "INSERT INTO agent_states (agent_id, session_id, state, created_at, updated_at) "
        "SELECT 'a', n || ' ' || i, '{}', t, t FROM generate_series(1, 3) i, (VALUES (0, now())";
    for (std::size_t i = 0; i < odd_times.size(); ++i)
        sql.append(", (").append(std::to_string(i + 1)).append(", '").append(odd_times[i].text).append("')");
    run_on(on.database, sql + ") AS v(n, t)");
}

const std::vector<std::pair<find_order, std::string>> orders{
    {find_order::updated_descending, "updated_at DESC, session_id COLLATE \"C\" DESC"},
    {find_order::updated_ascending, "updated_at, session_id COLLATE \"C\""},
    {find_order::created_descending, "created_at DESC, session_id COLLATE \"C\" DESC"},
    {find_order::created_ascending, "created_at, session_id COLLATE \"C\""}};

/// The sessions in the server's own order.
std::vector<std::string> in_order(opened_store& on, const std::string& order) {
    std::vector<std::string> sessions;
    for (const auto& row : on.on_pool("SELECT session_id FROM agent_states ORDER BY " + order))
        sessions.push_back(row[0].as<std::string>());
    return sessions;
}

/// The sessions of all pages that `fetch(after)` gives.
template <class Fetch>
std::vector<std::string> all_pages(Fetch fetch) {
    std::vector<std::string> sessions;
    std::string after;
    do {
        const auto page = fetch(after);
        for (const auto& each : page)
            sessions.push_back(each.session_id);
        REQUIRE(sessions.size() < 100); // or it would go on for ever
        after = page.next;
    } while (!after.empty());
    return sessions;
}

} // namespace

TEST_CASE("pages have each row once, whatever its times are", "[odd_times]") {
    opened_store on;
    fill(on);
    const std::size_t limit = GENERATE(as<std::size_t>{}, 1, 2, 7, 1000);
    CAPTURE(limit);
    for (const auto& [order, sql] : orders) {
        CAPTURE(sql);
        pgstate::state_query query;
        query.order = order;
        CHECK(all_pages([&](const std::string& after) {
                  return on.wait(on.store.find(query, pgstate::find_options(limit, after)));
              }) == in_order(on, sql));
    }
    CHECK(all_pages([&](const std::string& after) {
              return on.wait(on.store.list("a", pgstate::list_options(limit, after)));
          }) == in_order(on, orders.front().second));
    const auto agents = on.wait(on.store.list_agents());
    REQUIRE(agents.size() == 1);
    CHECK(agents.agents.front().sessions == 27);
    CHECK(agents.agents.front().updated_at == timestamp::max());
}

TEST_CASE("pages of a search have rows without a time once", "[odd_times]") {
    pgstate::config settings;
    settings.schema.jsonb_index = GENERATE(false, true);
    opened_store on({}, settings);
    const std::string times = GENERATE("NULL, now(), NULL, '-infinity', NULL, 'infinity', 'epoch'",
                                       "NULL, NULL, NULL", "now(), now(), NULL", "NULL, now(), now()");
    run_on(
        on.database,
        "INSERT INTO agent_states (agent_id, session_id, state, created_at, updated_at)"
        " SELECT 'a', n || ' ' || i, '{\"data\": {\"n\": 1}}', t, t FROM generate_series(1, 3) i, unnest(ARRAY[" +
            times + "]::timestamptz[]) WITH ORDINALITY AS u(t, n)");
    pgstate::state_query by_document;
    by_document.contains["data"].emplace_object()["n"] = 1;
    for (auto query : {pgstate::state_query(), by_document})
        for (const std::size_t limit : {1U, 2U, 3U, 1000U})
            for (const auto& [order, sql] : orders) {
                CAPTURE(times, query.contains, limit, sql);
                query.order = order;
                pgstate::find_options options(limit);
                options.documents = limit == 2;
                CHECK(all_pages([&](const std::string& after) {
                          options.after = after;
                          return on.wait(on.store.find(query, options));
                      }) == in_order(on, sql));
            }
    pgstate::state_query timed;
    timed.updated.from = timestamp::min();
    CHECK(on.wait(on.store.find(timed)).size() ==
          on.on_pool("SELECT count(updated_at) FROM agent_states")[0][0].as<std::size_t>());
}

TEST_CASE("an odd time loads as the same for every operation, and can be shown", "[odd_times]") {
    opened_store on;
    for (const auto& [text, loaded, shown] : odd_times) {
        CAPTURE(text);
        const auto quoted = "'" + std::string(text) + "'";
        const bool gone = loaded < year_10000 - 1us;
        insert(on, text, "created_at, updated_at, expires_at",
               quoted + ", " + quoted + ", " + (gone ? "NULL" : quoted));
        const auto state = on.wait(on.store.load("a", text));
        REQUIRE(state);
        CHECK(state->created_at == loaded);
        CHECK(state->updated_at == loaded);
        CHECK(state->expires_at == (gone ? std::nullopt : std::optional(loaded)));
        CHECK(pgstate::to_nearest_rfc3339(state->updated_at) == shown);

        pgstate::state_query query;
        query.agent_id = "a";
        const auto page = on.wait(on.store.find(query));
        CHECK(std::ranges::find(page.states, *state) != page.states.end());
        const std::string session = text;
        CHECK(on.wait(on.store.transaction(
                  [session](pgstate::transaction& in) { return in.load("a", session); })) == state);

        // What is loaded can be changed and saved: in a transaction, by itself, and in part.
        auto changed = *state;
        changed.data["n"] = 2;
        const auto saved = on.wait(on.store.transaction(
            [changed](pgstate::transaction& in) { return in.save(changed, {.if_unchanged = true}); }));
        CHECK(saved.created_at == loaded);
        CHECK(saved.updated_at < year_10000 - 1us);
        saved.apply_to(changed);
        CHECK(on.wait(on.store.save(changed, {.if_unchanged = true})).created_at == loaded);
        CHECK(on.wait(on.store.increment("a", text, "/data/n", 1)).created_at == loaded);
        CHECK(on.wait(on.store.touch("a", text, 1h)).created_at == loaded);
        CHECK(on.wait(on.store.erase("a", text)));
    }
}

TEST_CASE("an interval takes odd times in as the server compares them", "[odd_times]") {
    opened_store on;
    fill(on);
    const auto found = [&](std::optional<timestamp> from, std::optional<timestamp> until) {
        pgstate::state_query query;
        query.updated = {from, until};
        return on.wait(on.store.find(query)).size();
    };
    CHECK(found(timestamp::min(), std::nullopt) == 27);
    CHECK(found(std::nullopt, timestamp::min()) == 0);
    CHECK(found(timestamp::max(), std::nullopt) == 9);
    CHECK(found(std::nullopt, timestamp::max()) == 18);
    CHECK(found(year_10000, std::nullopt) == 12);
    CHECK(found(std::nullopt, ides_of_march) == 3);
}

TEST_CASE("a state that expires at -infinity or before Christ is gone, and is swept", "[odd_times]") {
    swept_table table;
    table.fill("first", 5, "'-infinity'");
    table.fill("second", 5, "'4713-01-01 BC'");
    table.fill("third", 5, "'0001-01-01 BC'");
    table.fill("stays", 1, "'infinity'");
    table.fill("stays too", 1, "'294276-12-31'");
    // Those that cannot be deleted keep none behind them.
    table.exec(
        "CREATE TABLE keeps (agent_id text, session_id text, FOREIGN KEY (agent_id, session_id) REFERENCES"
        " agent_states); INSERT INTO keeps SELECT agent_id, session_id FROM agent_states WHERE expires_at ="
        " '-infinity' AND session_id IN ('session-1', 'session-4')");
    opened_store on({}, table.on(sweeping(2)));
    CHECK(on.wait(on.store.count()) == 2);
    table.wait_until_rows(on.context, 4);
    CHECK(on.wait(on.store.load("stays", "session-1"))->expires_at == timestamp::max());
}

TEST_CASE("find can leave out what it cannot read, and names it", "[odd_times]") {
    opened_store on;
    const std::vector<std::pair<std::string, std::string>> states{
        {"1 good", "{}"},
        {"2 number", R"({"data": {"secret": 1e400}})"},
        {"3 good", R"({"data": {"n": 1}})"},
        {"4 array", "[]"},
        {"5 time", R"({"history": [{"role": "user", "timestamp": "2030-01-01T00:00:00"}]})"},
        {"6 good", "{}"},
        {"7 text", R"("secret")"}};
    for (const auto& [session, state] : states)
        run_on(on.database,
               "INSERT INTO agent_states (agent_id, session_id, state, updated_at) VALUES ('a', '" + session +
                   "', '" + state + "', 'infinity')");
    pgstate::state_query query;
    query.order = find_order::updated_ascending;
    const auto refused = on.failure(on.store.find(query, as_result), errc::corrupt_state);
    CHECK(names(refused, "2 number"));

    const std::size_t limit = GENERATE(as<std::size_t>{}, 1, 2, 3, 10);
    CAPTURE(limit);
    pgstate::find_options options(limit);
    options.unreadable = pgstate::on_unreadable::skip;
    std::vector<std::string> unreadable;
    const auto read = all_pages([&](const std::string& after) {
        options.after = after;
        auto page = on.wait(on.store.find(query, options));
        CHECK(page.size() + page.unreadable.size() <= limit);
        for (const auto& each : page.unreadable) {
            CHECK(each.key.agent_id == "a");
            CHECK(each.reason.find(each.key.session_id) != std::string::npos);
            CHECK(each.reason.find("secret") == std::string::npos);
            unreadable.push_back(each.key.session_id);
        }
        return page;
    });
    CHECK(read == std::vector<std::string>{"1 good", "3 good", "6 good"});
    CHECK(unreadable == std::vector<std::string>{"2 number", "4 array", "5 time", "7 text"});

    options.after.clear();
    options.documents = false; // nothing is read that could be wrong
    CHECK(on.wait(on.store.find(query, options)).size() == std::min<std::size_t>(limit, states.size()));
}
