#include "server.hpp"

#include <boost/asio/use_future.hpp>

#include <pqxx/nontransaction>
#include <pqxx/result>

namespace bench {
namespace {

constexpr int first_with_flush = 150000;

pgstate::config one_connection(const std::string& url) {
    pgstate::config config;
    config.connection_string = url;
    config.pool.max_conns = 1;
    config.pool.validate_after_idle = std::chrono::hours(24); // a ping would count as a statement
    return config;
}

} // namespace

void flush_statistics(pqxx::connection& c) {
    if (c.server_version() < first_with_flush) return;
    pqxx::nontransaction sql(c);
    sql.exec("SELECT pg_stat_force_next_flush()");
}

server::server(engine& runs_on, const std::string& url) : pool_(runs_on.executor(), one_connection(url)) {}

std::string server::version() {
    return value("SELECT split_part(current_setting('server_version'), ' ', 1)");
}

bool server::durable() {
    return value(
               "SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off'") ==
           "t";
}

std::optional<std::int64_t> server::statements() {
    const auto read = [](pqxx::connection& c) -> std::optional<std::int64_t> {
        if (c.server_version() < first_with_flush) return std::nullopt;
        flush_statistics(c);
        pqxx::nontransaction sql(c);
        return sql.exec("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")[0][0]
            .as<std::int64_t>();
    };
    return pool_.with_connection(read, boost::asio::use_future).get();
}

std::string server::value(const char* query) {
    const auto read = [query](pqxx::connection& c) {
        pqxx::nontransaction sql(c);
        return sql.exec(query)[0][0].as<std::string>();
    };
    return pool_.with_connection(read, boost::asio::use_future).get();
}

} // namespace bench
