#ifndef PGSTATE_BENCH_BLOCKING_STORE_HPP
#define PGSTATE_BENCH_BLOCKING_STORE_HPP

#include "pgstate/agent_state.hpp"
#include "pgstate/operations.hpp"

#include <pqxx/connection>

#include <optional>
#include <string>

namespace bench {

/// The operations of the store as a program without it writes them: on one connection, blocking, one prepared statement
/// each.
class blocking_store {
public:
    blocking_store(const std::string& url, const std::string& table);

    std::optional<pgstate::agent_state> load(const std::string& agent_id, const std::string& session_id);
    /// \throws pgstate::error conflict
    pgstate::saved save(const pgstate::agent_state& state, pgstate::save_options options);
    bool erase(const std::string& agent_id, const std::string& session_id);
    pgstate::session_page list(const std::string& agent_id);

    pqxx::connection& connection() noexcept { return connection_; }

private:
    pqxx::connection connection_;
};

} // namespace bench

#endif
