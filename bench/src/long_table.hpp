#ifndef PGSTATE_BENCH_LONG_TABLE_HPP
#define PGSTATE_BENCH_LONG_TABLE_HPP

#include "arguments.hpp"
#include "engine.hpp"
#include "pgstate/agent_state.hpp"
#include "pgstate/connection_pool.hpp"
#include "pgstate/postgres_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>

namespace bench {

/// Messages that are `message_bytes` long as JSON. Their texts are of random words, so that they compress as texts do and
/// not as a single letter does.
class message_maker {
public:
    static constexpr std::size_t message_bytes = 300;

    explicit message_maker(std::uint64_t seed) : random_(seed) {}

    pgstate::agent_message make();
    /// A state that was never saved. \param ids  each message has one
    pgstate::agent_state make_state(std::string agent, std::size_t messages, bool ids = false);
    /// The id of the message `number` of a session.
    static std::string id_of(std::uint64_t number);

private:
    std::mt19937_64 random_;
};

/// A table of its own whose histories are in one layout, and a store of it. With a single connection, autovacuum is off for it.
class long_table {
public:
    long_table(engine& runs_on, const arguments& chosen, const std::string& url,
               pgstate::history_layout layout, std::size_t conns);
    long_table(const long_table&) = delete;
    long_table& operator=(const long_table&) = delete;
    ~long_table();

    pgstate::postgres_store& store() noexcept { return *store_; }
    const char* layout() const noexcept { return rows_ ? "rows" : "document"; }
    bool in_rows() const noexcept { return rows_; }

    /// So that nothing is left for the server to tidy up while it is measured.
    void tidy_up();

private:
    void execute(const std::string& sql);

    bool rows_;
    std::string table_;
    pgstate::connection_pool sql_;
    std::optional<pgstate::postgres_store> store_;
};

/// How far the server's write-ahead log is, in bytes.
boost::asio::awaitable<std::int64_t> log_position(pgstate::connection_pool& server);

/// A pool of a single connection.
pgstate::connection_pool make_observer(engine& runs_on, const std::string& url);

} // namespace bench

#endif
