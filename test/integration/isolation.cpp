// READ COMMITTED holds for every statement, whatever the role's default is.

#include "integration/pooler.hpp"
#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <optional>
#include <string>

using namespace pgstate_test;
using pgstate::as_result;

namespace {

/// A database whose transactions begin as `level`.
std::string database_with(const std::string& level) {
    const auto database = fresh_database();
    pqxx::connection other(database);
    pqxx::nontransaction(other).exec("ALTER DATABASE \"" + std::string(other.dbname()) +
                                     "\" SET default_transaction_isolation = '" + level + "'");
    return database;
}

/// A save that waits for another writer of its row, and then goes on over what that one wrote: under another level it
/// would be refused with 40001.
void check_saves_over_a_concurrent_write(opened_store& f, const std::string& direct) {
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto first = numbered_state(0);
        co_await f.store.save(first);
    });
    pqxx::connection other(direct);
    pqxx::connection observer(direct);
    std::optional<pqxx::work> writer(std::in_place, other);
    writer->exec("UPDATE agent_states SET updated_at = clock_timestamp()");
    outcome<pgstate::saved> saved;
    f.store.save(numbered_state(1), as_result(saved.handler()));
    run(f.context,
        [&]() -> asio::awaitable<void> { co_await until(f.context, observer, somebody_waits_for_a_lock); });
    writer->commit();
    run_until(f.context, [&] { return saved.over(); });
    CHECK(saved.value->has_value());
    CHECK(f.store.stats().retries == 0);
}

void check_transactions(opened_store& f) {
    run(f.context, [&]() -> asio::awaitable<void> {
        auto level = [](pgstate::transaction& tx) {
            return tx.sql().exec("SELECT current_setting('transaction_isolation')")[0][0].as<std::string>();
        };
        const std::string as_it_is = co_await f.store.transaction(level);
        CHECK(as_it_is == "read committed");
        pgstate::transaction_options options;
        options.isolation = pgstate::isolation_level::serializable;
        const std::string asked_for = co_await f.store.transaction(level, options);
        CHECK(asked_for == "serializable");
    });
}

} // namespace

TEST_CASE("a role's default isolation level does not matter", "[isolation]") {
    const std::string level = GENERATE("repeatable read", "serializable");
    opened_store f({}, config_for(database_with(level)));
    check_saves_over_a_concurrent_write(f, f.database);
    check_transactions(f);
}

TEST_CASE("a role's default isolation level does not matter behind a pooler", "[isolation][pgbouncer]") {
    const pooler between;
    const auto direct = database_with("serializable");
    auto settings = config_for(between.connection_string(std::string(pqxx::connection(direct).dbname())));
    settings.tuning.statements = pgstate::statement_mode::unnamed;
    opened_store f({}, settings);
    check_saves_over_a_concurrent_write(f, direct);
    check_transactions(f);
}
