#include "support/stores.hpp"

#include "pgstate/memory_store.hpp"
#include "pgstate/postgres_store.hpp"
#include "support/test_server.hpp"

#include <atomic>
#include <cstddef>
#include <ostream>
#include <string>

namespace pgstate_test {

namespace {

std::unique_ptr<pgstate::state_store> open_postgres(asio::io_context& context, std::size_t connections,
                                                    std::size_t shards) {
    static const std::string database = fresh_database();
    static std::atomic<int> tables{0};
    pgstate::config settings;
    settings.connection_string = database;
    settings.table_name = "agent_states_" + std::to_string(++tables);
    settings.pool.max_conns = connections;
    settings.batch.shards = shards;
    return run(context, [&]() -> asio::awaitable<std::unique_ptr<pgstate::state_store>> {
        auto store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
        co_return std::make_unique<pgstate::postgres_store>(std::move(store));
    });
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

std::unique_ptr<pgstate::state_store> open_store(store_kind kind, asio::io_context& context) {
    switch (kind) {
    case store_kind::memory: break;
    case store_kind::postgres: return open_postgres(context, 4, 1);
    case store_kind::sharded_postgres:
        return open_postgres(context, 5, 3); // uneven shares of the connections
    }
    return std::make_unique<pgstate::memory_store>(context.get_executor());
}

} // namespace pgstate_test
