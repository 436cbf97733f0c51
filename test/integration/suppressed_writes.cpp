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
    CHECK(std::string(why.what()).find("neither written nor found") != std::string::npos);
}

/// As many statements as an operation may take that is tried a few times.
constexpr std::uint64_t a_few = 12;

} // namespace

TEST_CASE("a trigger that suppresses inserts ends every operation that would create a state",
          "[suppressed]") {
    guarded_table on;
    on.exec(trigger_against("INSERT"));
    auto& store = on.f.store;
    run(on.f.context, [&]() -> asio::awaitable<void> {
        const agent_state state("a", "guarded");
        const pgstate::change_options creating{.create = true};
        const pgstate::update_options updating{.create = true};
        const auto before = store.stats().statements;
        const auto created = co_await store.save(state, {.if_unchanged = true}, as_result);
        check_suppressed(created, "save");
        CHECK(store.stats().statements - before <= a_few);
        const auto saved = co_await store.save(state, as_result);
        check_suppressed(saved, "save");
        const auto appended =
            co_await store.append("a", "guarded", agent_message("user", "hi"), creating, as_result);
        check_suppressed(appended, "append");
        pgstate::state_patch patch;
        patch.data["x"] = 1;
        const auto merged = co_await store.merge("a", "guarded", patch, creating, as_result);
        check_suppressed(merged, "merge");
        const auto incremented = co_await store.increment("a", "guarded", "/data/n", 1, creating, as_result);
        check_suppressed(incremented, "increment");
        auto change = [](agent_state& loaded) { loaded.data["x"] = 1; };
        const auto updated = co_await store.update("a", "guarded", change, updating, as_result);
        check_suppressed(updated, "update");
        CHECK(store.stats().statements - before <= 6 * a_few);
    });
}

TEST_CASE("of states that are saved together only the suppressed one fails", "[suppressed]") {
    guarded_table on;
    on.exec(trigger_against("INSERT"));
    auto& store = on.f.store;
    run(on.f.context, [&]() -> asio::awaitable<void> {
        const std::vector<agent_state> states{agent_state("a", "1"), agent_state("a", "guarded"),
                                              agent_state("a", "z")};
        for (const bool conditional : {false, true}) {
            pgstate::save_all_options options;
            options.if_unchanged = conditional;
            const auto results = co_await store.save_all(states, options);
            REQUIRE(results.size() == 3);
            CHECK(results[0].has_value());
            check_suppressed(results[1], "save");
            CHECK(results[2].has_value());
            const std::vector<pgstate::state_key> keys{{"a", "1"}, {"a", "z"}};
            const auto erased = co_await store.erase_all(keys);
            CHECK(erased == 2);
            options.atomic = true;
            const auto atomic = co_await store.save_all(states, options, as_result);
            check_suppressed(atomic, "save_all");
            CHECK(std::string(atomic.error().what()).find("states[1]") != std::string::npos);
            const auto count = co_await store.count();
            CHECK(count == 0);
        }
    });
}

TEST_CASE("a trigger that suppresses updates and deletes ends every operation on the state that is there",
          "[suppressed]") {
    guarded_table on;
    auto& store = on.f.store;
    agent_state state("a", "guarded");
    state.data["n"] = 1;
    run(on.f.context, [&]() -> asio::awaitable<void> { (co_await store.save(state)).apply_to(state); });
    on.exec(trigger_against("UPDATE OR DELETE"));
    run(on.f.context, [&]() -> asio::awaitable<void> {
        const auto before = store.stats();
        const auto saved = co_await store.save(state, as_result);
        check_suppressed(saved, "save");
        const auto replaced = co_await store.save(state, {.if_unchanged = true}, as_result);
        check_suppressed(replaced, "save");
        const auto touched = co_await store.touch("a", "guarded", 1h, as_result);
        check_suppressed(touched, "touch");
        pgstate::change_options conditional;
        conditional.if_version = state.version;
        for (const auto& options : {pgstate::change_options(), conditional}) {
            const auto appended =
                co_await store.append("a", "guarded", agent_message("user", "hi"), options, as_result);
            check_suppressed(appended, "append");
            const auto merged =
                co_await store.merge("a", "guarded", pgstate::state_patch(), options, as_result);
            check_suppressed(merged, "merge");
            const auto incremented =
                co_await store.increment("a", "guarded", "/data/n", 1, options, as_result);
            const auto why = require_failure(incremented, errc::invalid_argument);
            CHECK(std::string(why.what()).find("suppresses the write") != std::string::npos);
        }
        auto change = [](agent_state& loaded) { loaded.data["n"] = 2; };
        const auto updated = co_await store.update("a", "guarded", change, as_result);
        check_suppressed(updated, "update");
        const auto erased = co_await store.erase("a", "guarded", as_result);
        check_suppressed(erased, "erase");
        const auto erased_version =
            co_await store.erase("a", "guarded", {.if_version = state.version}, as_result);
        check_suppressed(erased_version, "erase");
        const std::vector<pgstate::state_key> keys{{"a", "guarded"}, {"a", "missing"}};
        const auto all = co_await store.erase_all(keys, as_result);
        check_suppressed(all, "erase_all");
        CHECK(store.stats().statements - before.statements <= 14 * a_few);

        // What is not there, and what another has written, is told as ever.
        const auto missing = co_await store.touch("a", "missing", 1h, as_result);
        require_failure(missing, errc::not_found);
        const auto none = co_await store.erase("a", "missing");
        CHECK_FALSE(none);
        const auto stale = co_await store.erase("a", "guarded", {.if_version = state.version - 1}, as_result);
        require_failure(stale, errc::conflict);
        const auto there = co_await store.load("a", "guarded");
        REQUIRE(there);
        CHECK(there->data.at("n") == 1);
    });
}

TEST_CASE("what is not there is no conflict in the statistics", "[suppressed]") {
    opened_store f;
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto touched = co_await f.store.touch("a", "missing", 1h, as_result);
        require_failure(touched, errc::not_found);
        const auto appended = co_await f.store.append("a", "missing", agent_message("user", "hi"), as_result);
        require_failure(appended, errc::not_found);
        const auto erased = co_await f.store.erase("a", "missing");
        CHECK_FALSE(erased);
    });
    CHECK(f.store.stats().conflicts == 0);
}

TEST_CASE("in a transaction a suppressed write is told likewise", "[suppressed]") {
    guarded_table on;
    auto& store = on.f.store;
    const bool exists = GENERATE(false, true);
    CAPTURE(exists);
    agent_state state("a", "guarded");
    if (exists)
        run(on.f.context, [&]() -> asio::awaitable<void> { (co_await store.save(state)).apply_to(state); });
    on.exec(trigger_against("INSERT OR UPDATE OR DELETE"));
    run(on.f.context, [&]() -> asio::awaitable<void> {
        for (const bool conditional : {false, true}) {
            auto save = [&state, conditional](pgstate::transaction& tx) {
                tx.save(state, {.if_unchanged = conditional});
            };
            const auto saved = co_await store.transaction(save, as_result);
            check_suppressed(saved, "save");
        }
        auto erase = [](pgstate::transaction& tx) { return tx.erase("a", "guarded"); };
        const auto erased = co_await store.transaction(erase, as_result);
        if (exists)
            check_suppressed(erased, "erase");
        else
            CHECK_FALSE(*erased);
    });
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
    run(f.context, [&]() -> asio::awaitable<void> {
        const agent_state state("a", "guarded");
        const auto created = co_await f.store.save(state, {.if_unchanged = true}, as_result);
        check_suppressed(created, "save");
        const auto saved = co_await f.store.save(state, as_result); // the server names the policy itself
        REQUIRE(saved.has_error());
        CHECK(saved.error().sqlstate() == "42501");
        const auto touched = co_await f.store.touch("a", "guarded", 1h, as_result);
        require_failure(touched, errc::not_found);
        auto in_transaction = [&state](pgstate::transaction& tx) { tx.save(state, {.if_unchanged = true}); };
        const auto done = co_await f.store.transaction(in_transaction, as_result);
        check_suppressed(done, "save");
    });
    CHECK(f.store.stats().statements < 4 * a_few);
}

TEST_CASE("a rule in place of a delete is the server's refusal", "[suppressed]") {
    guarded_table on;
    on.exec("CREATE RULE keep AS ON DELETE TO agent_states DO INSTEAD NOTHING");
    run(on.f.context, [&]() -> asio::awaitable<void> {
        const auto erased = co_await on.f.store.erase("a", "s", as_result);
        REQUIRE(erased.has_error());
        CHECK(erased.error().sqlstate() == "0A000");
    });
}
