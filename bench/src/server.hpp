#ifndef PGSTATE_BENCH_SERVER_HPP
#define PGSTATE_BENCH_SERVER_HPP

#include "engine.hpp"
#include "pgstate/connection_pool.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace bench {

/// Makes the server's statistics know everything that `c` has done, this included.
void flush_statistics(pqxx::connection& c);

/// The server as the report sees it, through a connection of its own.
class server {
public:
    server(engine& runs_on, const std::string& url);

    std::string version();
    bool durable(); ///< a commit waits until it is on the disk

    /// Statements executed in the database so far: each is a transaction of its own. Of the other connections only
    /// what they flushed; of this one all but this reading. Nothing before PostgreSQL 15, which cannot tell exactly.
    std::optional<std::int64_t> statements();
    /// What this connection executes from one reading to the next.
    static constexpr std::int64_t statements_per_reading = 2;

private:
    std::string value(const char* query);

    pgstate::connection_pool pool_;
};

} // namespace bench

#endif
