#include "open_store.hpp"

#include "telemetry.hpp"

#include <boost/asio/use_future.hpp>

#include <chrono>

namespace bench {

pgstate::postgres_store open_store(engine& runs_on, const arguments& chosen, const std::string& url) {
    pgstate::config config;
    config.connection_string = url;
    config.table_name = chosen.table;
    config.pool.max_conns = chosen.conns;
    config.schema.indexes = chosen.indexes;
    config.tuning.batch = chosen.batch;
    add_telemetry(config, chosen.telemetry);
    config.operation_timeout =
        std::chrono::minutes(5); // 100,000 callers on a slow disk wait longer than the default
    return pgstate::postgres_store::open(runs_on.executor(), config, boost::asio::use_future).get();
}

} // namespace bench
