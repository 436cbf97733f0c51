// The plans that the server makes of the store's statements, as auto_explain logs them: index lookups whatever the
// table's size and statistics.

#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

using namespace pgstate_test;
using pgstate::agent_state;

namespace {

constexpr auto one_connection = "&pool_max_conns=1";

/// A store with one connection whose statements' plans are in the server's log.
class explained_store {
public:
    explicit explained_store(pgstate::index_mode indexes, bool jsonb_index = false,
                             pgstate::sweep_config sweep = {})
        : store_(one_connection, explained(indexes, jsonb_index, sweep)) {
        sql("ALTER TABLE agent_states SET (autovacuum_enabled = false)");
    }

    void sql(const std::string& text) { store_.on_pool(text); }

    /// `agents` with `sessions` each, beginning with the `first` session. Not analysed.
    void fill(int agents, int first, int sessions) {
        sql("INSERT INTO agent_states (agent_id, session_id, state) "
            "SELECT 'agent-' || a, 'session-' || s, '{\"data\": {\"text\": \"" +
            std::string(100, 'x') + "\"}}' FROM generate_series(1, " + std::to_string(agents) +
            ") a, generate_series(" + std::to_string(first) + ", " + std::to_string(first + sessions - 1) +
            ") s ORDER BY 1, 2");
    }

    /// Many operations of a kind at once, so that they share statements; gives the plans of these.
    std::string plans_of_loads() {
        return plans_of([](pgstate::postgres_store& store, int i, auto handler) {
            store.load("agent-" + std::to_string(i % 40 + 1), "session-1", std::move(handler));
        });
    }
    std::string plans_of_saves() {
        return plans_of([](pgstate::postgres_store& store, int i, auto handler) {
            store.save(agent_state("agent-" + std::to_string(i + 1), "saved"), std::move(handler));
        });
    }
    std::string plans_of_conditional_saves() {
        return plans_of([](pgstate::postgres_store& store, int i, auto handler) {
            agent_state state("agent-" + std::to_string(i + 1), "saved");
            state.version = 1;
            store.save(state, {.if_unchanged = true}, std::move(handler));
        });
    }
    std::string plans_of_erasures() {
        return plans_of([](pgstate::postgres_store& store, int i, auto handler) {
            store.erase("agent-" + std::to_string(i + 1), "saved", std::move(handler));
        });
    }
    std::string plan_of_a_load() {
        const auto begin = log_size();
        store_.wait(store_.store.load("agent-1", "session-1"));
        return log_from(begin);
    }

    /// Of the page behind so many rows.
    std::string plan_of_a_find(const pgstate::state_query& query, std::size_t behind = 0) {
        pgstate::find_options options(100);
        if (behind > 0)
            options.after = store_.wait(store_.store.find(query, pgstate::find_options(behind))).next;
        const auto begin = log_size();
        CHECK_FALSE(store_.wait(store_.store.find(query, options)).empty());
        return log_from(begin);
    }
    std::string plan_of_listing_agents(const std::string& after) {
        const auto next = store_.wait(store_.store.list_agents(pgstate::list_agents_options(1))).next;
        const auto begin = log_size();
        const pgstate::list_agents_options options(20, after.empty() ? after : next);
        CHECK(store_.wait(store_.store.list_agents(options)).size() == 20);
        return log_from(begin);
    }
    /// The plans from here until so many rows more have been swept.
    std::string plans_of_sweeping(std::uint64_t rows) {
        const auto begin = log_size();
        const auto swept = store_.store.stats().swept;
        poll_until(store_.context, [&] { return store_.store.stats().swept >= swept + rows; });
        return log_from(begin);
    }

    std::int64_t estimate(const std::string& agent) {
        const pgstate::count_options estimated{.estimate = true};
        if (agent.empty()) return store_.wait(store_.store.count(estimated));
        return store_.wait(store_.store.count(agent, estimated));
    }

    /// Until the store has seen that the table is large, and the server has a plan for batches that it keeps.
    void settle_on_a_kept_plan() {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        do {
            plans_of_loads();
            REQUIRE(std::chrono::steady_clock::now() < deadline);
        } while (!store_
                      .on_pool("SELECT coalesce(sum(generic_plans), 0) > 0 FROM pg_prepared_statements "
                               "WHERE name LIKE 'pgstate_load_many_%'")[0][0]
                      .as<bool>());
    }

private:
    static pgstate::config explained(pgstate::index_mode indexes, bool jsonb_index,
                                     pgstate::sweep_config sweep) {
        pgstate::config settings;
        settings.schema.indexes = indexes;
        settings.operation_timeout = std::chrono::minutes(5); // a million rows are written in one statement
        settings.schema.jsonb_index = jsonb_index;
        settings.sweep = sweep;
        settings.pool.after_connect = [](pqxx::connection& connection) {
            pqxx::nontransaction(connection)
                .exec("LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; "
                      "SET auto_explain.log_nested_statements = on; SET auto_explain.log_timing = off;");
        };
        return settings;
    }

    template <class Start>
    std::string plans_of(Start start) {
        constexpr int operations = 64;
        const auto begin = log_size();
        int over = 0;
        for (int i = 0; i < operations; ++i)
            start(store_.store, i, [&over](auto&&...) { ++over; });
        run_until(store_.context, [&] { return over == operations; });
        return log_from(begin);
    }

    static std::filesystem::path log() { return server().data_directory() / "pgstate" / "server.log"; }
    static std::uintmax_t log_size() { return std::filesystem::file_size(log()); }
    static std::string log_from(std::uintmax_t begin) {
        std::ifstream file(log(), std::ios::binary);
        file.seekg(static_cast<std::streamoff>(begin));
        return {std::istreambuf_iterator<char>(file), {}};
    }

    opened_store store_;
};

pgstate::index_mode any_indexes() {
    return GENERATE(pgstate::index_mode::standard, pgstate::index_mode::lean);
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// That the table is read, and only through an index.
void check_lookups(const std::string& plans, const std::string& what) {
    INFO(what << "\n" << plans);
    CHECK(has(plans, " on agent_states t"));
    CHECK((has(plans, "Index Scan using ") || has(plans, "Bitmap Index Scan on ")));
    CHECK_FALSE(has(plans, "Seq Scan on agent_states"));
}

void check_every_batch(explained_store& store) {
    check_lookups(store.plans_of_loads(), "loads");
    const auto saves = store.plans_of_saves();
    INFO(saves);
    CHECK(has(saves, "Conflict Arbiter Indexes: agent_states_pkey"));
    CHECK_FALSE(has(saves, "Seq Scan on agent_states"));
    check_lookups(store.plans_of_conditional_saves(), "conditional saves, and the probes that follow");
    check_lookups(store.plans_of_erasures(), "erasures");
}

} // namespace

TEST_CASE("batches are index lookups on an empty and on a small table, analysed or not", "[plans]") {
    explained_store store(any_indexes());
    store.fill(50, 1, GENERATE(0, 4));
    if (GENERATE(false, true)) store.sql("VACUUM ANALYZE agent_states");
    check_every_batch(store);
}

TEST_CASE("batches are index lookups on a large table that was never analysed, or only when it was empty",
          "[plans]") {
    explained_store store(any_indexes());
    if (GENERATE(false, true)) {
        store.sql("VACUUM ANALYZE agent_states");
        for (int i = 0; i < 10; ++i) { // enough for the server to keep plans made for an empty table
            store.plans_of_loads();
            store.plan_of_a_load();
        }
    }
    store.fill(1000, 1, 20);
    store.settle_on_a_kept_plan();
    check_every_batch(store);
    check_lookups(store.plan_of_a_load(), "a single load");
}

TEST_CASE("plans hold while a table grows to ten times what its statistics say", "[plans]") {
    explained_store store(pgstate::index_mode::standard);
    store.fill(200, 1, 25);
    store.sql("VACUUM ANALYZE agent_states");
    store.settle_on_a_kept_plan();
    store.fill(200, 26, 225);
    check_every_batch(store);
    check_lookups(store.plan_of_a_load(), "a single load");
}

TEST_CASE("plans on a million rows", "[plans]") {
    explained_store store(pgstate::index_mode::standard);
    store.fill(1000, 1, 1000);
    for (const bool analysed : {false, true}) {
        CAPTURE(analysed);
        if (analysed) store.sql("ANALYZE agent_states");
        store.settle_on_a_kept_plan();
        check_every_batch(store);
        const auto loads = store.plans_of_loads();
        INFO(loads);
        CHECK(has(loads, " agent_states_pkey"));
        CHECK_FALSE(has(loads, "idx_agent_states"));
    }
}

TEST_CASE("a search by containment or by a jsonpath for equality takes the index over the documents",
          "[plans][find]") {
    explained_store store(any_indexes(), true);
    store.fill(1000, 1, 20);
    store.sql("UPDATE agent_states SET state = '{\"data\": {\"user\": 7}}' WHERE agent_id = 'agent-77'");
    // Also with statistics that know nothing of it, and with none.
    if (GENERATE(false, true)) store.sql("VACUUM ANALYZE agent_states");
    pgstate::state_query query;
    const bool by_path = GENERATE(false, true);
    if (by_path)
        query.jsonpath = "$.data.user == 7";
    else
        query.contains["data"].emplace_object()["user"] = 7;
    const auto plan = store.plan_of_a_find(query);
    INFO(plan);
    CHECK(has(plan, "Bitmap Index Scan on idx_agent_states_state"));
    CHECK_FALSE(has(plan, "Seq Scan on agent_states"));
}

TEST_CASE("the latest states of a large table are found by the index over their times", "[plans][find]") {
    explained_store store(pgstate::index_mode::standard, GENERATE(false, true));
    store.fill(1000, 1, 20);
    store.sql("UPDATE agent_states SET updated_at = now() - random() * interval '10 days'");
    const bool some_without_time = GENERATE(false, true);
    if (some_without_time)
        store.sql(
            "UPDATE agent_states SET updated_at = NULL WHERE session_id = 'session-3' AND agent_id LIKE '%7'");
    store.sql("VACUUM ANALYZE agent_states");
    pgstate::state_query query;
    for (const auto order : {pgstate::find_order::updated_descending, pgstate::find_order::updated_ascending})
        for (const std::size_t behind : {0U, 20U, 1000U}) { // there are 100 without a time
            query.order = order;
            CAPTURE(some_without_time, behind);
            const auto plan = store.plan_of_a_find(query, behind);
            INFO(plan);
            CHECK(has(plan, "using idx_agent_states_updated_at"));
            CHECK_FALSE(has(plan, "Seq Scan on agent_states"));
            if (behind == 1000) CHECK(has(plan, "Index Cond: (updated_at "));
        }
}

TEST_CASE("a page of agents reads the rows of its agents only", "[plans][list_agents]") {
    explained_store store(any_indexes());
    store.fill(1000, 1, 20);
    if (GENERATE(false, true)) store.sql("VACUUM ANALYZE agent_states");
    const auto plan = store.plan_of_listing_agents(GENERATE("", "behind the first"));
    INFO(plan);
    CHECK(has(plan, "GroupAggregate"));
    CHECK(has(plan, "Index Scan using "));
    CHECK_FALSE(has(plan, "Seq Scan on agent_states"));
    CHECK_FALSE(has(plan, "Sort"));
}

TEST_CASE("an estimated count is near the exact one once the table is analysed", "[plans][list_agents]") {
    explained_store store(pgstate::index_mode::standard);
    store.fill(100, 1, 200);
    store.sql("ANALYZE agent_states");
    const auto all = store.estimate("");
    CHECK(all > 18'000);
    CHECK(all < 22'000);
    const auto of_one = store.estimate("agent-7");
    CHECK(of_one > 50);
    CHECK(of_one < 800);
    CHECK(store.estimate("nobody") < 800);
}

TEST_CASE("a sweep of few rows reads these alone, however large the table is", "[plans][sweep]") {
    explained_store store(pgstate::index_mode::standard, false, {.period = std::chrono::milliseconds(100)});
    const bool analysed = GENERATE(false, true);
    store.fill(500, 1, 100);
    if (analysed) store.sql("VACUUM ANALYZE agent_states");
    store.sql(
        "UPDATE agent_states SET expires_at = now() + interval '1 hour' WHERE session_id = 'session-2'");
    store.sql(
        "UPDATE agent_states SET expires_at = now() WHERE session_id = 'session-1' AND agent_id LIKE '%7'");
    const auto plans = store.plans_of_sweeping(50);
    INFO(plans);
    CHECK(has(plans, "Index Scan using idx_agent_states_expires_at on agent_states t"));
    CHECK_FALSE(has(plans, "Seq Scan on agent_states"));
}
