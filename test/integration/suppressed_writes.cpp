// Tables in which something suppresses writes or hides rows, so that a write finds neither a row to make nor one that it
// conflicts with: every operation ends after a few statements, and says so.

#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

/// A trigger that leaves out what happens to the sessions of one name: `events` such as "INSERT OR UPDATE".
std::string trigger_against(const std::string& events, const std::string& session = "guarded") {
    return "CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
           " IF coalesce(to_jsonb(NEW) ->> 'session_id', to_jsonb(OLD) ->> 'session_id') = '" +
           session +
           "' THEN RETURN NULL; END IF; IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$;"
           "CREATE TRIGGER suppress BEFORE " +
           events + " ON agent_states FOR EACH ROW EXECUTE FUNCTION suppress()";
}

struct guarded_table {
    guarded_table() : admin(f.database) {}
    void exec(const std::string& sql) { pqxx::nontransaction(admin).exec(sql); }

    opened_store f;
    pqxx::connection admin;
};

template <class T>
void check_suppressed(const pgstate::result<T>& outcome, const std::string& operation) {
    const auto why = require_failure(outcome, errc::schema_mismatch);
    CHECK(why.operation() == operation);
    CHECK(names(why, "neither written nor found"));
}

/// As many statements as an operation may take that is tried a few times.
constexpr std::uint64_t a_few = 12;

} // namespace

TEST_CASE("a trigger that suppresses inserts ends every operation that would create a state",
          "[suppressed]") {
    guarded_table on;
    on.exec(trigger_against("INSERT"));
    auto& store = on.f.store;
    const agent_state state("a", "guarded");
    const pgstate::change_options creating{.create = true};
    const pgstate::update_options updating{.create = true};
    const auto before = store.stats().statements;
    check_suppressed(on.f.wait(store.save(state, {.if_unchanged = true}, as_result)), "save");
    CHECK(store.stats().statements - before <= a_few);
    check_suppressed(on.f.wait(store.save(state, as_result)), "save");
    check_suppressed(
        on.f.wait(store.append("a", "guarded", agent_message("user", "hi"), creating, as_result)), "append");
    pgstate::state_patch patch;
    patch.data["x"] = 1;
    check_suppressed(on.f.wait(store.merge("a", "guarded", patch, creating, as_result)), "merge");
    check_suppressed(on.f.wait(store.increment("a", "guarded", "/data/n", 1, creating, as_result)),
                     "increment");
    auto change = [](agent_state& loaded) { loaded.data["x"] = 1; };
    check_suppressed(on.f.wait(store.update("a", "guarded", change, updating, as_result)), "update");
    CHECK(store.stats().statements - before <= 6 * a_few);
}

TEST_CASE("of states that are saved together only the suppressed one fails", "[suppressed]") {
    guarded_table on;
    on.exec(trigger_against("INSERT"));
    auto& store = on.f.store;
    const std::vector<agent_state> states{agent_state("a", "1"), agent_state("a", "guarded"),
                                          agent_state("a", "z")};
    for (const bool conditional : {false, true}) {
        pgstate::save_all_options options;
        options.if_unchanged = conditional;
        const auto results = on.f.wait(store.save_all(states, options));
        REQUIRE(results.size() == 3);
        CHECK(results[0].has_value());
        check_suppressed(results[1], "save");
        CHECK(results[2].has_value());
        const std::vector<pgstate::state_key> keys{{"a", "1"}, {"a", "z"}};
        CHECK(on.f.wait(store.erase_all(keys)) == 2);
        options.atomic = true;
        const auto atomic = on.f.wait(store.save_all(states, options, as_result));
        check_suppressed(atomic, "save_all");
        CHECK(names(atomic.error(), "states[1]"));
        CHECK(on.f.wait(store.count()) == 0);
    }
}

TEST_CASE("a trigger that suppresses updates and deletes ends every operation on the state that is there",
          "[suppressed]") {
    guarded_table on;
    auto& store = on.f.store;
    agent_state state("a", "guarded");
    state.data["n"] = 1;
    state.history.emplace_back("user", "hi");
    on.f.wait(store.save(state)).apply_to(state);
    const auto part =
        on.f.wait(store.load("a", "guarded", {.history = pgstate::history_window::none})).value();
    on.exec(trigger_against("UPDATE OR DELETE"));
    const auto before = store.stats();
    check_suppressed(on.f.wait(store.save(state, as_result)), "save");
    check_suppressed(on.f.wait(store.save(state, {.if_unchanged = true}, as_result)), "save");
    for (const bool unchanged : {false, true}) {
        check_suppressed(on.f.wait(store.save(part, {.if_unchanged = unchanged}, as_result)), "save");
        const auto in_transaction = [&](pgstate::transaction& tx) {
            tx.save(part, {.if_unchanged = unchanged});
        };
        check_suppressed(on.f.wait(store.transaction(in_transaction, as_result)), "save");
    }
    check_suppressed(on.f.wait(store.touch("a", "guarded", 1h, as_result)), "touch");
    const pgstate::change_options conditional{.if_version = state.version};
    for (const auto& options : {pgstate::change_options(), conditional}) {
        check_suppressed(
            on.f.wait(store.append("a", "guarded", agent_message("user", "hi"), options, as_result)),
            "append");
        check_suppressed(on.f.wait(store.merge("a", "guarded", pgstate::state_patch(), options, as_result)),
                         "merge");
        check_suppressed(on.f.wait(store.increment("a", "guarded", "/data/n", 1, options, as_result)),
                         "increment");
    }
    auto change = [](agent_state& loaded) { loaded.data["n"] = 2; };
    check_suppressed(on.f.wait(store.update("a", "guarded", change, as_result)), "update");
    check_suppressed(on.f.wait(store.erase("a", "guarded", as_result)), "erase");
    check_suppressed(on.f.wait(store.erase("a", "guarded", {.if_version = state.version}, as_result)),
                     "erase");
    const std::vector<pgstate::state_key> keys{{"a", "guarded"}, {"a", "missing"}};
    check_suppressed(on.f.wait(store.erase_all(keys, as_result)), "erase_all");
    CHECK(store.stats().statements - before.statements <= 16 * a_few);

    // What is not there, and what another has written, is told as ever.
    const auto missing = on.f.wait(store.touch("a", "missing", 1h, as_result));
    require_failure(missing, errc::not_found);
    CHECK_FALSE(on.f.wait(store.erase("a", "missing")));
    on.f.failure(store.erase("a", "guarded", {.if_version = state.version - 1}, as_result), errc::conflict);
    const auto there = on.f.wait(store.load("a", "guarded"));
    REQUIRE(there);
    CHECK(there->data.at("n") == 1);
}

TEST_CASE("what is not there is no conflict in the statistics", "[suppressed]") {
    opened_store f;
    f.failure(f.store.touch("a", "missing", 1h, as_result), errc::not_found);
    f.failure(f.store.append("a", "missing", agent_message("user", "hi"), as_result), errc::not_found);
    CHECK_FALSE(f.wait(f.store.erase("a", "missing")));
    CHECK(f.store.stats().conflicts == 0);
}

TEST_CASE("in a transaction a suppressed write is told likewise", "[suppressed]") {
    guarded_table on;
    auto& store = on.f.store;
    const bool exists = GENERATE(false, true);
    CAPTURE(exists);
    agent_state state("a", "guarded");
    if (exists) on.f.wait(store.save(state)).apply_to(state);
    on.exec(trigger_against("INSERT OR UPDATE OR DELETE"));
    for (const bool conditional : {false, true}) {
        auto save = [&state, conditional](pgstate::transaction& tx) {
            tx.save(state, {.if_unchanged = conditional});
        };
        check_suppressed(on.f.wait(store.transaction(save, as_result)), "save");
    }
    auto erase = [](pgstate::transaction& tx) { return tx.erase("a", "guarded"); };
    const auto erased = on.f.wait(store.transaction(erase, as_result));
    if (exists)
        check_suppressed(erased, "erase");
    else
        CHECK_FALSE(*erased);
}

TEST_CASE("a state that a policy hides is not created for ever", "[suppressed]") {
    const auto database = fresh_database_name();
    const auto role = "hidden_from_" + database;
    const opened_store migrated({}, config_for(server().connection_string(database)));
    pqxx::connection admin(migrated.database);
    pqxx::nontransaction(admin).exec(
        "ALTER TABLE agent_states ADD COLUMN hidden boolean NOT NULL DEFAULT false;"
        "INSERT INTO agent_states (agent_id, session_id, state, hidden) VALUES ('a', 'guarded', '{}', true);"
        "CREATE ROLE " +
        role + " LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON agent_states TO " + role +
        "; ALTER TABLE agent_states ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY visible ON agent_states USING (NOT hidden)");
    auto uri = server().connection_string(database);
    uri.replace(uri.find("postgres@"), std::string("postgres").size(), role);
    auto settings = config_for(uri);
    settings.schema.migrate = pgstate::migrate_mode::off;
    opened_store f({}, settings);
    const agent_state state("a", "guarded");
    // PostgreSQL 17 looks at the policy before the condition, and names it.
    const auto check_hidden = [](const auto& saved) {
        if (!saved.has_error() || saved.error().sqlstate() != "42501") check_suppressed(saved, "save");
    };
    check_hidden(f.wait(f.store.save(state, {.if_unchanged = true}, as_result)));
    const auto saved = f.wait(f.store.save(state, as_result)); // the server names the policy itself
    REQUIRE(saved.has_error());
    CHECK(saved.error().sqlstate() == "42501");
    f.failure(f.store.touch("a", "guarded", 1h, as_result), errc::not_found);
    auto in_transaction = [&state](pgstate::transaction& tx) { tx.save(state, {.if_unchanged = true}); };
    check_hidden(f.wait(f.store.transaction(in_transaction, as_result)));
    CHECK(f.store.stats().statements < 4 * a_few);
}

TEST_CASE("a rule in place of a delete is the server's refusal", "[suppressed]") {
    guarded_table on;
    on.exec("CREATE RULE keep AS ON DELETE TO agent_states DO INSTEAD NOTHING");
    const auto erased = on.f.wait(on.f.store.erase("a", "s", as_result));
    REQUIRE(erased.has_error());
    CHECK(erased.error().sqlstate() == "0A000");
}
