#include "support/stores.hpp"

#include "pgstate/memory_store.hpp"
#include "pgstate/postgres_store.hpp"
#include "support/test_server.hpp"

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

opened_store open_postgres(asio::io_context& context, std::size_t connections, std::size_t shards) {
    static const std::string database = fresh_database();
    static std::atomic<int> tables{0};
    pgstate::config settings;
    settings.connection_string = database;
    settings.table_name = "agent_states_" + std::to_string(++tables);
    settings.pool.max_conns = connections;
    settings.batch.shards = shards;
    opened_store opened;
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

opened_store open_memory(asio::io_context& context) {
    const auto passed = std::make_shared<std::atomic<std::int64_t>>(0);
    opened_store opened;
    opened.store = std::make_unique<pgstate::memory_store>(context.get_executor(), [passed] {
        const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
        return now + std::chrono::milliseconds(passed->load());
    });
    opened.let_pass = [passed](std::chrono::milliseconds time) { *passed += time.count(); };
    return opened;
}

} // namespace

std::ostream& operator<<(std::ostream& to, store_kind kind) {
    switch (kind) {
    case store_kind::memory: return to << "memory";
    case store_kind::postgres: return to << "postgres";
    case store_kind::sharded_postgres: return to << "sharded_postgres";
    }
    return to << "unknown";
}

opened_store open_store(store_kind kind, asio::io_context& context) {
    switch (kind) {
    case store_kind::memory: break;
    case store_kind::postgres: return open_postgres(context, 4, 1);
    case store_kind::sharded_postgres:
        return open_postgres(context, 5, 3); // uneven shares of the connections
    }
    return open_memory(context);
}

} // namespace pgstate_test
