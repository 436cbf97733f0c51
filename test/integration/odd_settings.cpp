// A store works whatever the database has set for how the server prints and reads.

#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <string>

using namespace pgstate_test;
using namespace std::chrono_literals;

TEST_CASE("what the server is told to print decides nothing", "[migration]") {
    const std::string setting =
        GENERATE("quote_all_identifiers = on", "standard_conforming_strings = off", "search_path = ''",
                 "\"DateStyle\" = 'SQL, DMY'", "\"IntervalStyle\" = 'sql_standard'",
                 "\"TimeZone\" = 'Asia/Kathmandu'", "bytea_output = 'escape'", "transform_null_equals = on",
                 "row_security = off", "default_transaction_deferrable = on");
    CAPTURE(setting);
    auto settings = config_for(fresh_database());
    settings.table_name = R"("public"."Odd ""name""")";
    settings.sweep.period = 60s;
    settings.schema.guard = true;
    pqxx::connection admin(settings.connection_string);
    pqxx::nontransaction(admin).exec("ALTER DATABASE \"" + std::string(admin.dbname()) + "\" SET " + setting);

    for (const auto mode : {pgstate::migrate_mode::apply, pgstate::migrate_mode::verify}) {
        settings.schema.migrate = mode;
        opened_store f({}, settings);
        auto state = numbered_state(1, mode == pgstate::migrate_mode::apply ? "'\\made" : "'\\found");
        const auto saved = f.wait(f.store.save(state, {.ttl = 1h}));
        const auto loaded = f.wait(f.store.load(state.agent_id, state.session_id));
        REQUIRE(loaded.has_value());
        CHECK(loaded->data == state.data);
        CHECK(loaded->updated_at == saved.updated_at);
        CHECK(loaded->expires_at == saved.expires_at);
        const auto session = state.session_id;
        f.wait(f.store.transaction([&](pgstate::transaction& tx) {
            const auto within = tx.load(state.agent_id, session);
            REQUIRE(within.has_value());
            CHECK(*within == *loaded);
        }));
        f.wait(f.store.increment(state.agent_id, session, "/data/more", 1));
        CHECK(f.wait(f.store.list(state.agent_id)).size() == (mode == pgstate::migrate_mode::apply ? 1 : 2));
    }
    // Nothing is missing that a migration would bring.
    pqxx::connection other(settings.connection_string);
    CHECK(pgstate::postgres_store::inspect_schema(other, settings).current());
}
