// Tenants that share a table, and a policy that tells them apart by a setting of each transaction.

#include "integration/pooler.hpp"
#include "integration/store_support.hpp"
#include "support/recorded.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::statement_mode;

namespace {

// As README.md has it. After a transaction that set it, a session has the setting as an empty text.
constexpr auto tenants_policy =
    "ALTER TABLE agent_states ENABLE ROW LEVEL SECURITY;"
    "CREATE POLICY tenant ON agent_states USING "
    "(starts_with(agent_id, nullif(current_setting('app.tenant_id', true), '') || '/'))";

/// The same for messages in rows: pgstate reaches them through their state alone, and SQL of somebody else's does not.
constexpr auto messages_policy =
    "ALTER TABLE agent_states_messages ENABLE ROW LEVEL SECURITY;"
    "CREATE POLICY tenant ON agent_states_messages USING "
    "(starts_with(agent_id, nullif(current_setting('app.tenant_id', true), '') || '/'))";

/// A table with the policy, and a role for which it holds.
struct tenants_table {
    explicit tenants_table(const char* policy = tenants_policy,
                           pgstate::history_layout layout = pgstate::history_layout::document) {
        auto settings = config_for(server().connection_string(database));
        settings.schema.history = layout;
        const opened_store migrated({}, settings);
        admin.emplace(migrated.database);
        pqxx::nontransaction(*admin).exec("CREATE ROLE " + role +
                                          " LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES"
                                          " IN SCHEMA public TO " +
                                          role + ";" + policy);
        if (layout == pgstate::history_layout::rows) pqxx::nontransaction(*admin).exec(messages_policy);
    }

    std::string direct() const {
        auto uri = server().connection_string(database);
        return uri.replace(uri.find("postgres@"), std::string("postgres").size(), role);
    }

    std::string database = fresh_database_name();
    std::string role = "tenant_of_" + database;
    std::optional<pqxx::connection> admin{};
};

pgstate::config for_tenant(const std::string& uri, const std::string& tenant,
                           statement_mode statements = statement_mode::prepared,
                           pgstate::history_layout layout = pgstate::history_layout::document) {
    auto settings = config_for(uri);
    settings.schema.history = layout;
    settings.tuning.statements = statements;
    settings.session_settings = {{"app.tenant_id", tenant}, {"application_name", "of " + tenant}};
    return settings;
}

agent_state tenants_state(const std::string& agent, std::size_t session) {
    agent_state state(agent, std::to_string(session));
    state.data["of"] = agent;
    state.history.emplace_back("user", "hello");
    return state;
}

std::vector<agent_state> states_of(const std::string& agent, std::size_t count) {
    std::vector<agent_state> made;
    for (std::size_t i = 0; i < count; ++i)
        made.push_back(tenants_state(agent, i));
    return made;
}

template <class T>
void check_refused(const pgstate::result<T>& result) {
    REQUIRE(result.has_error());
    INFO(result.error().what());
    CHECK(result.error().sqlstate() == "42501");
}

/// What `mine` has of its own agent, which has 40 sessions, and not of another's, which has as many.
void sees_its_own(opened_store& mine, const std::string& own, const std::string& others) {
    const auto count = mine.wait(mine.store.count());
    CHECK(count == 40);
    CHECK(mine.wait(mine.store.count(others)) == 0);
    const auto agents = mine.wait(mine.store.list_agents());
    REQUIRE(agents.agents.size() == 1);
    CHECK(agents.agents[0].agent_id == own);
    const auto sessions = mine.wait(mine.store.list(own));
    CHECK(sessions.sessions.size() == 40);
    CHECK(mine.wait(mine.store.list(others)).sessions.empty());

    const auto found = mine.wait(mine.store.find(pgstate::state_query()));
    CHECK(found.states.size() == 40);
    for (const auto& each : found.states)
        CHECK(each.agent_id == own);

    std::vector<pgstate::state_key> keys;
    for (std::size_t i = 0; i < 40; ++i)
        keys.emplace_back(i % 2 ? own : others, std::to_string(i));
    const auto loaded = mine.wait(mine.store.load_all(keys));
    for (std::size_t i = 0; i < 40; ++i)
        CHECK(loaded[i].has_value() == (i % 2 == 1));
    auto counted = [](pgstate::transaction& with) {
        return with.sql().exec("SELECT count(*) FROM agent_states")[0][0].template as<int>();
    };
    CHECK(mine.wait(mine.store.transaction(counted)) == 40);
}

/// Writes to another's agent are refused, and those that travel with them are not.
void writes_its_own(opened_store& mine, const std::string& own, const std::string& others) {
    std::vector<agent_state> mixed;
    for (std::size_t i = 0; i < 10; ++i)
        mixed.push_back(tenants_state(i % 2 ? own : others, i));
    const auto saved = mine.wait(mine.store.save_all(mixed));
    for (std::size_t i = 0; i < 10; ++i)
        if (i % 2)
            CHECK(saved[i].has_value());
        else
            check_refused(saved[i]);
    const auto theirs = tenants_state(others, 1);
    check_refused(mine.wait(mine.store.save(tenants_state(others, 1'000), as_result)));
    auto in_transaction = [theirs](pgstate::transaction& with) { with.save(theirs); };
    check_refused(mine.wait(mine.store.transaction(in_transaction, as_result)));

    const std::vector<pgstate::agent_message> messages(1);
    const auto appended = mine.wait(mine.store.append(others, "1", messages, as_result));
    require_failure(appended, errc::not_found);
    constexpr pgstate::change_options or_create{.create = true};
    check_refused(mine.wait(mine.store.append(others, "1", messages, or_create, as_result)));
    CHECK(mine.wait(mine.store.append(own, "1", messages, as_result)).has_value());
    CHECK_FALSE(mine.wait(mine.store.erase(others, "1")));
    require_failure(mine.wait(mine.store.touch(others, "1", 1h, as_result)), errc::not_found);
}

} // namespace

TEST_CASE("each tenant's store sees and writes its own states, whoever has used the connection before",
          "[rls]") {
    using pgstate::history_layout;
    const auto [pooled, statements, layout] =
        GENERATE(std::tuple(false, statement_mode::prepared, history_layout::document),
                 std::tuple(true, statement_mode::unnamed, history_layout::document),
                 std::tuple(true, statement_mode::prepared, history_layout::document),
                 std::tuple(false, statement_mode::prepared, history_layout::rows),
                 std::tuple(true, statement_mode::unnamed, history_layout::rows));
    CAPTURE(pooled, static_cast<int>(statements), static_cast<int>(layout));
    const tenants_table table(tenants_policy, layout);
    std::optional<pooler> between;
    if (pooled) between.emplace(pooler_options{.user = table.role, .server_connections = 1});
    const auto uri = pooled ? between->connection_string(table.database) : table.direct();

    opened_store acme({}, for_tenant(uri, "acme", statements, layout));
    opened_store globex({}, for_tenant(uri, "globex's \"own\" \\", statements, layout));
    const std::string globex_agent = "globex's \"own\" \\/a";
    acme.wait(acme.store.save_all(states_of("acme/a", 40)));
    globex.wait(globex.store.save_all(states_of(globex_agent, 40)));
    sees_its_own(acme, "acme/a", globex_agent);
    writes_its_own(globex, globex_agent, "acme/a");
    sees_its_own(globex, globex_agent, "acme/a");
    sees_its_own(acme, "acme/a", globex_agent);

    // Whoever comes without it sees nothing: neither a store, nor another client of the same connections.
    opened_store nobody({}, config_for(uri));
    const auto count = nobody.wait(nobody.store.count());
    CHECK(count == 0);
    const auto left = nobody.on_pool("SELECT coalesce(current_setting('app.tenant_id', true), '') || "
                                     "current_setting('application_name')");
    CHECK(left[0][0].as<std::string>() == "pgstate");
    if (pooled) return;
    // Nor does the store's own pool have it between its transactions.
    CHECK(acme.on_pool("SELECT count(*) FROM agent_states")[0][0].as<int>() == 0);
}

TEST_CASE("operations of two tenants at once, over one connection of the server", "[rls]") {
    const tenants_table table;
    const pooler between({.user = table.role, .server_connections = 1});
    std::vector<std::unique_ptr<opened_store>> stores;
    std::vector<std::string> agents{"acme/a", "globex/a"};
    std::size_t left = 0;
    for (const auto* tenant : {"acme", "globex"})
        stores.push_back(std::make_unique<opened_store>(
            "&pool_max_conns=4",
            for_tenant(between.connection_string(table.database), tenant, statement_mode::unnamed)));
    for (std::size_t round = 0; round < 20; ++round)
        for (std::size_t who = 0; who < 2; ++who)
            for (std::size_t i = 0; i < 16; ++i) {
                ++left;
                stores[who]->store.save(tenants_state(agents[who], i), as_result([&left](auto saved) {
                                            CHECK(saved.has_value());
                                            --left;
                                        }));
                ++left;
                stores[who]->store.load(agents[1 - who], std::to_string(i), as_result([&left](auto loaded) {
                                            REQUIRE(loaded.has_value());
                                            CHECK_FALSE(loaded->has_value());
                                            --left;
                                        }));
            }
    const auto until = std::chrono::steady_clock::now() + patience;
    while (left > 0 && std::chrono::steady_clock::now() < until)
        for (auto& each : stores) {
            each->context.restart();
            each->context.run_for(1ms);
        }
    CHECK(left == 0);
}

TEST_CASE("a sweep deletes what its tenant may see", "[rls]") {
    tenants_table table;
    auto settings = for_tenant(table.direct(), "acme");
    settings.default_ttl = 1h;
    settings.schema.indexes = pgstate::index_mode::lean;
    settings.schema.migrate = pgstate::migrate_mode::off;
    auto others = for_tenant(table.direct(), "globex");
    others.default_ttl = 1h;
    settings.sweep.period = 100ms;
    opened_store acme({}, settings);
    opened_store globex({}, others);
    globex.wait(globex.store.save(tenants_state("globex/a", 0)));
    acme.wait(acme.store.save(tenants_state("acme/a", 0)));
    pqxx::nontransaction(*table.admin).exec("UPDATE agent_states SET expires_at = now() - interval '1 hour'");
    acme.wait_until(*table.admin, "SELECT NOT EXISTS (SELECT FROM agent_states WHERE agent_id = 'acme/a')");
    // The next look finds nothing either: this one's turn was before the other store's row could have gone.
    CHECK(acme.store.stats().swept <= 1);
    const auto rows = pqxx::nontransaction(*table.admin).exec("SELECT agent_id FROM agent_states");
    REQUIRE(rows.size() == 1);
    CHECK(rows[0][0].as<std::string>() == "globex/a");
}

TEST_CASE("a role can be set for each transaction, migrations included", "[rls]") {
    const auto database = fresh_database_name();
    const auto uri = server().connection_string(database);
    const auto owner = "owner_of_" + database;
    pqxx::connection admin(uri);
    pqxx::nontransaction(admin).exec("CREATE ROLE " + owner + "; GRANT CREATE ON SCHEMA public TO " + owner);
    auto settings = config_for(uri);
    settings.session_settings = {{"role", owner}};
    opened_store f({}, settings);
    const auto owns = pqxx::nontransaction(admin)
                          .exec("SELECT tableowner FROM pg_tables WHERE tablename = 'agent_states'")[0][0]
                          .as<std::string>();
    CHECK(owns == owner);
    f.wait(f.store.save(tenants_state("a", 0)));
    auto who = [](pgstate::transaction& with) {
        return with.sql().exec("SELECT current_user")[0][0].as<std::string>();
    };
    CHECK(f.wait(f.store.transaction(who)) == owner);
}

TEST_CASE("a value that the server cannot use is not told", "[rls]") {
    constexpr auto secret = "hunter2-hunter2";
    const auto log = std::make_shared<recorded_log>();
    const auto spans = std::make_shared<recorded_trace>();
    const auto check_hidden = [&](const pgstate::error& failure, const char* sqlstate) {
        INFO(failure.what());
        CHECK(failure.sqlstate() == sqlstate);
        CHECK_FALSE(names(failure, "hunter2"));
        CHECK((log->text() + spans->text()).find("hunter2") == std::string::npos);
    };
    const auto state = tenants_state("a", 0);
    auto save = [state](pgstate::transaction& with) { with.save(state); };
    auto load = [](pgstate::transaction& with) { with.load("a", "0"); };

    SECTION("by a setting of its own") {
        auto settings = config_for(fresh_database());
        settings.logger = log;
        settings.tracer = spans;
        settings.session_settings = {{"statement_timeout", secret}, {"app.fine", "x"}};
        asio::io_context context;
        const auto opened =
            wait(context, pgstate::postgres_store::open(context.get_executor(), settings, as_result));
        REQUIRE(opened.has_error());
        CHECK(names(opened.error(), "session_settings (statement_timeout, app.fine)"));
        check_hidden(opened.error(), "22023");

        const opened_store migrated({}, config_for(settings.connection_string));
        settings.schema.migrate = pgstate::migrate_mode::off;
        opened_store f({}, settings);
        const auto failed = f.wait(f.store.save(state, as_result));
        REQUIRE(failed.has_error());
        CHECK(names(failed.error(), "session_settings (statement_timeout, app.fine)"));
        check_hidden(failed.error(), "22023");
        const auto transacted = f.wait(f.store.transaction(save, as_result));
        REQUIRE(transacted.has_error());
        check_hidden(transacted.error(), "22023");
    }
    SECTION("by a policy") {
        const tenants_table table("ALTER TABLE agent_states ENABLE ROW LEVEL SECURITY;"
                                  "CREATE POLICY tenant ON agent_states USING "
                                  "(current_setting('app.tenant_id')::uuid IS NOT NULL)");
        opened_store owner({}, config_for(server().connection_string(table.database)));
        owner.wait(owner.store.save(state));
        auto settings = for_tenant(table.direct(), secret);
        settings.logger = log;
        settings.tracer = spans;
        opened_store f({}, settings);
        const auto failed = f.wait(f.store.load("a", "0", as_result));
        REQUIRE(failed.has_error());
        CHECK(names(failed.error(), "app.tenant_id"));
        check_hidden(failed.error(), "22P02");
        const auto transacted = f.wait(f.store.transaction(load, as_result));
        REQUIRE(transacted.has_error());
        check_hidden(transacted.error(), "22P02");
    }
}
