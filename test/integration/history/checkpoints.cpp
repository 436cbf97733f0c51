// schema.checkpoints on a server: the table, who else deletes states, policies, lost connections.

#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::as_result;
using pgstate::errc;
using pgstate::postgres_store;

namespace {

pgstate::config with_checkpoints() {
    pgstate::config settings;
    settings.schema.checkpoints = true;
    return settings;
}

std::int64_t count_of_checkpoints(const opened_store& f) {
    pqxx::connection connection(f.database);
    return pqxx::nontransaction(connection)
        .exec("SELECT count(*) FROM agent_states_checkpoints")[0][0]
        .as<std::int64_t>();
}

std::string refusal_of_open(opened_store& f) {
    return require_failure(f.wait(postgres_store::open(f.context.get_executor(), f.settings, as_result)),
                           errc::schema_mismatch)
        .what();
}

} // namespace

TEST_CASE("the table of checkpoints is made where it is wanted, and once", "[checkpoints]") {
    opened_store f;
    const auto refused = f.failure(f.store.checkpoint("a", "s", as_result), errc::schema_mismatch);
    CHECK(names(refused, "config.schema.checkpoints"));
    f.failure(f.store.load("a", "s", {.at = 1}, as_result), errc::schema_mismatch);

    f.settings.schema.checkpoints = true;
    pqxx::connection looking(f.database);
    const auto report = postgres_store::inspect_schema(looking, f.settings);
    REQUIRE(report.missing.size() == 1);
    CHECK(report.missing.front() == "table \"agent_states_checkpoints\" is missing");
    f.settings.schema.migrate = pgstate::migrate_mode::verify;
    CHECK(refusal_of_open(f).find("agent_states_checkpoints") != std::string::npos);
    f.settings.schema.migrate = pgstate::migrate_mode::apply;
    for (int i = 0; i < 2; ++i) {
        auto store = f.wait(postgres_store::open(f.context.get_executor(), f.settings));
        f.wait(store.save(numbered_state(1)));
        f.wait(store.checkpoint("a", "s"));
        f.wait(store.close());
    }
    CHECK(postgres_store::inspect_schema(looking, f.settings).current());
    CHECK(count_of_checkpoints(f) == 2);
    // What is applied by hand may be applied again.
    run_on(f.database, postgres_store::schema_sql(f.settings));
}

TEST_CASE("another table of that name is refused, and left alone", "[checkpoints]") {
    opened_store f;
    const auto [made, reason] = GENERATE(
        std::pair("CREATE TABLE agent_states_checkpoints (agent_id text)",
                  "column \"session_id\" is missing"),
        std::pair(
            "CREATE TABLE agent_states_checkpoints (agent_id text NOT NULL, session_id text NOT NULL,"
            " version int NOT NULL, label text NOT NULL, created_at timestamptz NOT NULL, messages bigint"
            " NOT NULL, state jsonb NOT NULL, state_created_at timestamptz, state_updated_at timestamptz)",
            "column \"version\" is integer, not bigint"),
        std::pair(
            "CREATE TABLE agent_states_checkpoints (agent_id text NOT NULL, session_id text NOT NULL,"
            " version bigint NOT NULL, label text NOT NULL, created_at timestamptz NOT NULL, messages bigint"
            " NOT NULL, state jsonb NOT NULL, state_created_at timestamptz, state_updated_at timestamptz,"
            " FOREIGN KEY (agent_id, session_id) REFERENCES agent_states ON DELETE CASCADE)",
            "there is no primary key; it must be (agent_id, session_id, version)"));
    run_on(f.database, made);
    f.settings.schema.checkpoints = true;
    const auto refusal = refusal_of_open(f);
    INFO(refusal);
    CHECK(refusal.find(reason) != std::string::npos);
    CHECK(refusal.find("agent_states_checkpoints") != std::string::npos);
}

TEST_CASE("a table of checkpoints that do not go with their states is refused", "[checkpoints]") {
    opened_store f({}, with_checkpoints());
    run_on(f.database, "ALTER TABLE agent_states_checkpoints DROP CONSTRAINT"
                       " agent_states_checkpoints_agent_id_session_id_fkey");
    CHECK(refusal_of_open(f).find("ON DELETE CASCADE") != std::string::npos);
}

TEST_CASE("checkpoints go with a state that others delete, or that is swept", "[checkpoints]") {
    opened_store f({}, with_checkpoints());
    const bool swept = GENERATE(true, false);
    f.wait(f.store.save(numbered_state(1)));
    f.wait(f.store.checkpoint("a", "s"));
    CHECK(count_of_checkpoints(f) == 1);
    if (swept) {
        run_on(f.database, "UPDATE agent_states SET expires_at = now() - interval '1 hour'");
        auto sweeping = f.settings;
        sweeping.sweep.period = 100ms;
        auto store = f.wait(postgres_store::open(f.context.get_executor(), sweeping));
        pqxx::connection observer(f.database);
        f.wait_until(observer, "SELECT NOT EXISTS (SELECT FROM agent_states)");
        f.wait(store.close());
    } else {
        run_on(f.database, "DELETE FROM agent_states");
    }
    CHECK(count_of_checkpoints(f) == 0);
}

TEST_CASE("an erase waits for a checkpoint, and takes it along", "[checkpoints]") {
    opened_store f({}, with_checkpoints());
    f.wait(f.store.save(numbered_state(1)));
    // A checkpoint that is not committed yet.
    open_transaction theirs(
        f.database,
        "INSERT INTO agent_states_checkpoints SELECT agent_id, session_id, version, '', now(), 0, state,"
        " created_at, updated_at FROM agent_states FOR KEY SHARE");
    pqxx::connection observer(f.database);
    outcome<bool> erased;
    f.store.erase("a", "s", as_result(erased.handler()));
    f.wait_until(observer, somebody_waits_for_a_lock);
    CHECK_FALSE(erased.over());
    theirs.commit();
    REQUIRE(erased.wait(f.context).has_value());
    CHECK(erased.value->value());
    CHECK(count_of_checkpoints(f) == 0);
}

TEST_CASE("a save does not wait for a checkpoint, nor a checkpoint for a save", "[checkpoints]") {
    opened_store f({}, with_checkpoints());
    const auto first = f.wait(f.store.save(numbered_state(1)));
    open_transaction theirs(f.database, "SELECT FROM agent_states FOR KEY SHARE");
    f.wait(f.store.save(numbered_state(2)));
    open_transaction writing(f.database, "UPDATE agent_states SET updated_at = now()");
    CHECK(f.wait(f.store.checkpoint("a", "s")).version > first.version);
}

TEST_CASE("a checkpoint, a restore and a prune whose connection is lost are made once",
          "[checkpoints][settlement]") {
    opened_store f({}, with_checkpoints());
    const auto first = f.wait(f.store.save(numbered_state(1)));
    f.wait(f.store.checkpoint("a", "s"));
    const auto second = f.wait(f.store.save(numbered_state(2)));
    pqxx::connection observer(f.database);
    const auto lose = [&](auto& done, std::optional<open_transaction>& lock) {
        f.lose_waiting(observer);
        CHECK_FALSE(done.over());
        lock.reset();
        REQUIRE(done.wait(f.context).has_value());
    };
    const auto locking = "LOCK TABLE agent_states_checkpoints IN ACCESS EXCLUSIVE MODE";
    std::optional<open_transaction> lock;
    lock.emplace(f.database, locking);
    outcome<pgstate::checkpoint_info> made;
    f.store.checkpoint("a", "s", {.label = "once"}, as_result(made.handler()));
    lose(made, lock);
    CHECK(made.value->value().version == second.version);
    CHECK(count_of_checkpoints(f) == 2);

    lock.emplace(f.database, "SELECT FROM agent_states FOR UPDATE");
    outcome<pgstate::saved> restored;
    f.store.restore("a", "s", first.version, as_result(restored.handler()));
    lose(restored, lock);
    const auto loaded = f.wait(f.store.load("a", "s"));
    CHECK(loaded->version == restored.value->value().version);
    CHECK(loaded->data.at("value").as_int64() == 1);

    lock.emplace(f.database, locking);
    outcome<std::int64_t> pruned;
    f.store.prune("a", "s", {.keep = 1}, as_result(pruned.handler()));
    lose(pruned, lock);
    CHECK(pruned.value->value() == 1);
}

TEST_CASE("a policy on the table holds for its checkpoints", "[checkpoints][tenants]") {
    opened_store f({}, with_checkpoints());
    const auto role = pqxx::connection(f.database).dbname() + std::string("_tenant");
    run_on(f.database,
           "CREATE ROLE \"" + role +
               "\"; GRANT SELECT, INSERT, UPDATE, DELETE ON agent_states, agent_states_checkpoints TO \"" +
               role +
               "\"; ALTER TABLE agent_states ENABLE ROW LEVEL SECURITY;"
               "CREATE POLICY tenant ON agent_states USING (starts_with(agent_id,"
               " nullif(current_setting('app.tenant_id', true), '') || '/'))");
    const auto save_as = [&](const std::string& agent) {
        auto state = numbered_state(1);
        state.agent_id = agent;
        const auto version = f.wait(f.store.save(state)).version;
        f.wait(f.store.checkpoint(agent, "s"));
        return version;
    };
    const auto theirs = save_as("other/a");
    const auto ours = save_as("acme/a");
    auto settings = f.settings;
    settings.schema.migrate = pgstate::migrate_mode::off;
    settings.session_settings = {{"role", role}, {"app.tenant_id", "acme"}};
    auto store = f.wait(postgres_store::open(f.context.get_executor(), settings));
    CHECK(f.wait(store.checkpoints("acme/a", "s")).size() == 1);
    CHECK(f.wait(store.load("acme/a", "s", {.at = ours})).has_value());
    CHECK(f.wait(store.checkpoints("other/a", "s")).empty());
    CHECK_FALSE(f.wait(store.load("other/a", "s", {.at = theirs})).has_value());
    f.failure(store.checkpoint("other/a", "s", as_result), errc::not_found);
    f.failure(store.restore("other/a", "s", theirs, as_result), errc::not_found);
    CHECK(f.wait(store.prune("other/a", "s")) == 0);
    CHECK(f.wait(store.erase("acme/a", "s")));
    f.wait(store.close());
    CHECK(count_of_checkpoints(f) == 1);
    run_on(f.database, "DROP OWNED BY \"" + role + "\"; DROP ROLE \"" + role + "\"");
}

TEST_CASE("a version that a foreign writer kept is what the row has now", "[checkpoints]") {
    opened_store f({}, with_checkpoints());
    const auto first = f.wait(f.store.save(numbered_state(1)));
    const auto kept = f.wait(f.store.checkpoint("a", "s", {.label = "kept"}));
    run_on(f.database, R"(UPDATE agent_states SET state = '{"data": {"value": 2}, "history": [{}]}')");
    const auto value_at = [&](std::int64_t version) {
        return f.wait(f.store.load("a", "s", {.at = version}))->data.at("value").as_int64();
    };
    CHECK(value_at(first.version) == 2);
    const auto again = f.wait(f.store.checkpoint("a", "s"));
    CHECK(again.version == kept.version);
    CHECK(again.label == "kept");
    CHECK(again.messages == 1);
    f.wait(f.store.save(numbered_state(3)));
    CHECK(value_at(first.version) == 2);
    f.wait(f.store.restore("a", "s", first.version));
    CHECK(f.wait(f.store.load("a", "s"))->data.at("value").as_int64() == 2);
}

TEST_CASE("checkpoints of a state whose document is odd", "[checkpoints]") {
    opened_store f({}, with_checkpoints());
    f.wait(f.store.save(numbered_state(1)));
    const std::string odd = GENERATE("{}", R"({"history": null})", R"({"history": {"a": 1}})", "[]", "7");
    run_on(f.database, "UPDATE agent_states SET state = '" + odd + "'");
    const auto made = f.wait(f.store.checkpoint("a", "s"));
    CHECK(made.messages == 0);
    f.wait(f.store.restore("a", "s", made.version));
    const auto loaded = f.wait(f.store.load("a", "s", as_result));
    const auto then = f.wait(f.store.load("a", "s", {.at = made.version}, as_result));
    CHECK(loaded.has_value() == then.has_value());
}
