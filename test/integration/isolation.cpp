// READ COMMITTED holds for every statement, whatever the role's default is.

#include "integration/pooler.hpp"
#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

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
    f.wait(f.store.save(numbered_state(0)));
    pqxx::connection observer(direct);
    open_transaction writer(direct, "UPDATE agent_states SET updated_at = clock_timestamp()");
    outcome<pgstate::saved> saved;
    f.store.save(numbered_state(1), as_result(saved.handler()));
    f.wait_until(observer, somebody_waits_for_a_lock);
    writer.commit();
    CHECK(saved.wait(f.context).has_value());
    CHECK(f.store.stats().retries == 0);
}

void check_transactions(opened_store& f) {
    auto level = [](pgstate::transaction& tx) {
        return tx.sql().exec("SELECT current_setting('transaction_isolation')")[0][0].as<std::string>();
    };
    CHECK(f.wait(f.store.transaction(level)) == "read committed");
    pgstate::transaction_options options;
    options.isolation = pgstate::isolation_level::serializable;
    CHECK(f.wait(f.store.transaction(level, options)) == "serializable");
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
