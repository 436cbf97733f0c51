#include "support/stores.hpp"

#include "pgstate/memory_store.hpp"
#include "pgstate/postgres_store.hpp"
#include "support/test_server.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <pqxx/connection>
#include <pqxx/nontransaction>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>

namespace pgstate_test {

namespace {

store_with_clock open_postgres(asio::io_context& context, std::chrono::milliseconds default_ttl,
                               std::size_t connections, std::size_t shards, pgstate::history_config kept,
                               pgstate::history_layout history = pgstate::history_layout::document) {
    static const std::string database = fresh_database();
    static std::atomic<int> tables{0};
    pgstate::config settings;
    settings.connection_string = database;
    settings.table_name = "agent_states_" + std::to_string(++tables);
    settings.default_ttl = default_ttl;
    settings.schema.checkpoints = true;
    settings.schema.history = history;
    settings.history = kept;
    settings.pool.max_conns = connections;
    settings.tuning.batch.shards = shards;
    store_with_clock opened;
    opened.store = run(context, [&]() -> asio::awaitable<std::unique_ptr<pgstate::state_store>> {
        auto store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
        co_return std::make_unique<pgstate::postgres_store>(std::move(store));
    });
    // The server's clock cannot be set; that all expire earlier comes to the same.
    opened.let_pass = [table = settings.table_name](std::chrono::milliseconds time) {
        pqxx::connection connection(database);
        pqxx::nontransaction sql(connection);
        sql.exec("UPDATE " + table + " SET expires_at = expires_at - interval '" +
                 std::to_string(time.count()) + " milliseconds'");
    };
    return opened;
}

store_with_clock open_memory(asio::io_context& context, std::chrono::milliseconds default_ttl,
                             pgstate::history_config history) {
    const auto passed = std::make_shared<std::atomic<std::int64_t>>(0);
    store_with_clock opened;
    const auto now = [passed] {
        const auto real = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
        return real + std::chrono::milliseconds(passed->load());
    };
    opened.store = std::make_unique<pgstate::memory_store>(context.get_executor(), now, default_ttl, history);
    opened.let_pass = [passed](std::chrono::milliseconds time) { *passed += time.count(); };
    return opened;
}

} // namespace

std::ostream& operator<<(std::ostream& to, store_kind kind) {
    switch (kind) {
    case store_kind::memory: return to << "memory";
    case store_kind::postgres: return to << "postgres";
    case store_kind::sharded_postgres: return to << "sharded_postgres";
    case store_kind::rows_postgres: return to << "rows_postgres";
    }
    return to << "unknown";
}

store_with_clock open_store(store_kind kind, asio::io_context& context, std::chrono::milliseconds default_ttl,
                            pgstate::history_config history) {
    switch (kind) {
    case store_kind::memory: break;
    case store_kind::postgres: return open_postgres(context, default_ttl, 4, 1, history);
    case store_kind::sharded_postgres:
        return open_postgres(context, default_ttl, 5, 3, history); // uneven shares of the connections
    case store_kind::rows_postgres:
        return open_postgres(context, default_ttl, 4, 1, history, pgstate::history_layout::rows);
    }
    return open_memory(context, default_ttl, history);
}

store_kind any_kind() {
    return GENERATE(from_range(every_kind));
}

store_under_test::store_under_test(store_kind kind, std::chrono::milliseconds default_ttl,
                                   pgstate::history_config history)
    : kind_(kind),
      said_(Catch::MessageBuilder("INFO", CATCH_INTERNAL_LINEINFO, Catch::ResultWas::Info) << kind),
      opened_(open_store(kind, context_, default_ttl, history)) {}

store_under_test::~store_under_test() {
    try {
        wait(opened_.store->close());
    } catch (...) {
        // Cases about closing say what must hold; here it is only tidied up.
    }
}

pgstate::agent_state store_under_test::loaded(std::string_view agent_id, std::string_view session_id) {
    INFO("agent " << agent_id << ", session " << session_id);
    const auto found = wait(opened_.store->load(agent_id, session_id));
    REQUIRE(found.has_value());
    return *found;
}

bool store_under_test::has(std::string_view agent_id, std::string_view session_id) {
    return wait(opened_.store->load(agent_id, session_id)).has_value();
}

} // namespace pgstate_test
