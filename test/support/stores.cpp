#include "support/stores.hpp"

#include "pgstate/memory_store.hpp"
#include "pgstate/postgres_store.hpp"
#include "support/test_server.hpp"

#include <atomic>
#include <cstddef>
#include <string>

namespace pgstate_test {

std::unique_ptr<pgstate::state_store> memory_kind::open(asio::io_context& context) {
    return std::make_unique<pgstate::memory_store>(context.get_executor());
}

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

std::unique_ptr<pgstate::state_store> postgres_kind::open(asio::io_context& context) {
    return open_postgres(context, 4, 1);
}

std::unique_ptr<pgstate::state_store> sharded_postgres_kind::open(asio::io_context& context) {
    return open_postgres(context, 5, 3); // uneven shares of the connections
}

} // namespace pgstate_test
