#include "integration/migration/support.hpp"

#include <catch2/generators/catch_generators.hpp>

#include <barrier>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using namespace pgstate;
using namespace pgstate_test;

namespace {

// Runs `work` on `count` threads at once, each with a connection of its own; returns what they failed with.
std::vector<std::string> all_at_once(migration_fixture& db, int count,
                                     const std::function<void(int, pqxx::connection&)>& work) {
    std::vector<std::string> failures(static_cast<std::size_t>(count));
    std::barrier start(count);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < count; ++i)
            threads.emplace_back([&, i] {
                try {
                    auto connection = db.connect();
                    start.arrive_and_wait();
                    work(i, connection);
                } catch (const std::exception& e) {
                    failures[static_cast<std::size_t>(i)] = e.what();
                }
            });
    }
    std::erase(failures, std::string());
    return failures;
}

} // namespace

TEST_CASE("sixteen first opens at once all succeed", "[migration]") {
    migration_fixture db;
    const std::string setting = GENERATE("", "SET default_transaction_isolation = 'serializable'");
    const auto config = db.resolved({.jsonb_index = true});
    for (int round = 0; round < 5; ++round) {
        const auto failures = all_at_once(db, 16, [&](int, pqxx::connection& connection) {
            pqxx::nontransaction(connection).exec(setting);
            schema::migrate(connection, config);
        });
        CHECK(failures == std::vector<std::string>());
        CHECK_NOTHROW(db.verify({.jsonb_index = true}));
        CHECK(db.number("SELECT count(*) FROM pg_index WHERE indrelid = 'agent_states'::regclass") == 4);
        db.exec("DROP TABLE agent_states");
    }
}

TEST_CASE("programs that use the Go SDK may start at the same time", "[migration]") {
    migration_fixture db;
    const auto config = db.resolved();
    for (int round = 0; round < 10; ++round) {
        const auto failures = all_at_once(db, 16, [&](int i, pqxx::connection& connection) {
            if (i % 2 == 0) {
                schema::migrate(connection, config);
                return;
            }
            try {
                pqxx::nontransaction(connection).exec(go_schema);
            } catch (const pqxx::sql_error&) { // as happens without pgstate
            }
        });
        CHECK(failures == std::vector<std::string>());
        CHECK_NOTHROW(db.verify());
        db.exec("DROP TABLE agent_states");
    }
}

TEST_CASE("a Go-made table under load is taken over without losing a write", "[migration]") {
    const int rows = GENERATE(0, 100'000);
    CAPTURE(rows);
    migration_fixture db;
    db.exec(go_schema);
    db.exec(
        "INSERT INTO agent_states SELECT 'old', n::text, jsonb_build_object('agent_id', 'old', 'session_id', n::text,"
        " 'data', jsonb_build_object('n', n)) FROM generate_series(1, " +
        std::to_string(rows) + ") AS n");
    const auto file = db.text("SELECT pg_relation_filenode('agent_states')");
    const auto config = db.resolved();
    const auto failures = all_at_once(db, 8, [&](int i, pqxx::connection& connection) {
        if (i == 0) {
            schema::migrate(connection, config);
            return;
        }
        for (int n = 0; n < 50; ++n)
            pqxx::nontransaction(connection).exec(go_save(std::to_string(i), std::to_string(n), "{}"));
    });
    CHECK(failures == std::vector<std::string>());
    CHECK(db.number("SELECT count(*) FROM agent_states WHERE version > 0 AND expires_at IS NULL") ==
          rows + 350);
    CHECK(db.number("SELECT count(*) FROM agent_states WHERE agent_id = 'old' AND state -> 'data' ->> 'n' ="
                    " session_id") == rows);
    CHECK(db.text("SELECT pg_relation_filenode('agent_states')") == file); // nothing was rewritten
    CHECK_NOTHROW(db.verify());
}
