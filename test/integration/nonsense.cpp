// Answers that make no sense: where the table's place is taken by a view whose columns are not what pgstate expects, every
// operation ends with a typed error, or with the value where it does not look at that column.

#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

using namespace pgstate_test;
using pgstate::as_result;
using pgstate::errc;

namespace {

/// What the view gives instead of the table's columns.
struct strange_columns {
    std::string_view state = "state";
    std::string_view created_at = "created_at";
    std::string_view updated_at = "updated_at";
    std::string_view version = "version";
    std::string_view expires_at = "expires_at";
    std::string_view rest{}; ///< behind FROM
};

/// A store on a view over a table with one state.
struct strange_store : opened_store {
    explicit strange_store(const strange_columns& with) : opened_store("&pool_max_conns=1", on_view(with)) {}

    static pgstate::config on_view(const strange_columns& with) {
        pgstate::config settings;
        settings.connection_string = fresh_database();
        pqxx::connection connection(settings.connection_string);
        pqxx::nontransaction sql(connection);
        sql.exec(pgstate::postgres_store::schema_sql(settings));
        sql.exec("ALTER TABLE agent_states RENAME TO real_states");
        sql.exec(
            "INSERT INTO real_states (agent_id, session_id, state) VALUES ('a', 's', '{\"data\": {\"x\": 1}}')");
        std::string view = "CREATE VIEW agent_states AS SELECT agent_id, session_id";
        for (const auto& [expression, name] :
             {std::pair(with.state, "state"), std::pair(with.created_at, "created_at"),
              std::pair(with.updated_at, "updated_at"), std::pair(with.version, "version"),
              std::pair(with.expires_at, "expires_at"),
              std::pair(std::string_view("write_name"), "write_name"),
              std::pair(std::string_view("write_version"), "write_version")})
            view.append(", ").append(expression).append(" AS ").append(name);
        sql.exec(view.append(" FROM real_states").append(with.rest));
        settings.schema.migrate = pgstate::migrate_mode::off;
        return settings;
    }
};

template <class T>
void check_typed(const pgstate::result<T>& result) {
    if (result) return;
    INFO(result.error().what());
    CHECK((result.error() == errc::corrupt_state || result.error().sqlstate().size() == 5));
}

} // namespace

TEST_CASE("a view that is as the table is reads like it", "[nonsense]") {
    strange_store on({});
    const auto state = on.wait(on.store.load("a", "s"));
    REQUIRE(state);
    CHECK(state->data.at("x") == 1);
}

TEST_CASE("times beyond the clock's range read as its end", "[nonsense]") {
    strange_columns with;
    with.created_at = "'-infinity'::timestamptz";
    with.updated_at = "'infinity'::timestamptz";
    strange_store on(with);
    const auto state = on.wait(on.store.load("a", "s"));
    REQUIRE(state);
    CHECK(state->updated_at == pgstate::timestamp::max());
    CHECK(state->created_at < pgstate::timestamp(std::chrono::microseconds(0)));
}

TEST_CASE("columns of other types and contents end in typed errors", "[nonsense]") {
    const std::vector<strange_columns> all{
        {.state = "state::text"},
        {.state = "42"},
        {.state = "NULL::jsonb"},
        {.state = "'5'::jsonb"},
        {.state = "'[]'::jsonb"},
        {.state = "'\"text\"'::jsonb"},
        {.state = "'{\"history\": [5]}'::jsonb"},
        {.state = "'{\"data\": {\"n\": 1e400}}'::jsonb"},
        {.state = "repeat('[', 2000)"},
        {.state = "'\\x01ff'::bytea"},
        {.created_at = "created_at::date"},
        {.created_at = "'yesterday'::text"},
        {.updated_at = "now()::date"},
        {.updated_at = "7::int"},
        {.version = "NULL::bigint"},
        {.version = "7::int"},
        {.version = "'version'::text"},
        {.version = "1.5::numeric"},
        {.version = "ARRAY[1, 2]"},
        {.expires_at = "'later'::text"},
        {.expires_at = "(now() + interval '1 day')::date"},
        {.rest =
             " UNION ALL SELECT agent_id, session_id, state, created_at, updated_at, version, expires_at, "
             "write_name, write_version FROM real_states"}};
    for (const auto& with : all) {
        CAPTURE(with.state, with.created_at, with.updated_at, with.version, with.expires_at, with.rest);
        strange_store on(with);
        auto& store = on.store;
        const auto loaded = on.wait(store.load("a", "s", as_result));
        CHECK(loaded.has_error());
        check_typed(loaded);
        const std::vector<pgstate::state_key> keys{{"a", "s"}, {"a", "t"}};
        check_typed(on.wait(store.load_all(keys, as_result)));
        check_typed(on.wait(store.list("a", as_result)));
        pgstate::state_query query;
        query.agent_id = "a";
        check_typed(on.wait(store.find(query, as_result)));
        check_typed(on.wait(store.list_agents(as_result)));
        check_typed(on.wait(store.count("a", as_result)));
        check_typed(on.wait(store.save(pgstate::agent_state("a", "s"), as_result)));
        check_typed(on.wait(store.erase("a", "t", as_result)));
        // The connection and the engine are as good as before.
        CHECK(on.wait(store.health_check(as_result)).has_value());
    }
}
