#ifndef PGSTATE_TEST_SWEPT_TABLE_HPP
#define PGSTATE_TEST_SWEPT_TABLE_HPP

#include "integration/store_support.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace pgstate_test {

inline pgstate::config sweeping(std::size_t batch = 500) {
    pgstate::config settings;
    settings.sweep = {.period = std::chrono::milliseconds(100), .batch = batch};
    return settings;
}

/// A database with the table in it, and a look at it from outside.
class swept_table {
public:
    swept_table() : database(fresh_database()), sql_(database) {
        const opened_store makes_the_table({}, config_for(database));
    }

    pqxx::result exec(const std::string& sql) { return pqxx::nontransaction(sql_).exec(sql); }
    std::int64_t number(const std::string& query) { return exec(query)[0][0].as<std::int64_t>(); }
    std::int64_t rows() { return number("SELECT count(*) FROM agent_states"); }

    /// \param expiry  an expression; i is the row's number
    void fill(const std::string& agent, int rows, const std::string& expiry) {
        exec("INSERT INTO agent_states (agent_id, session_id, state, expires_at) SELECT '" + agent +
             "', 'session-' || i, '{}', " + expiry + " FROM generate_series(1, " + std::to_string(rows) +
             ") i");
    }
    void fill_expired(int rows) { fill("expired", rows, "now() - i * interval '1 second'"); }

    /// With what the fixture's own connections use.
    pgstate::config on(pgstate::config settings) const {
        settings.connection_string = database;
        return settings;
    }
    /// Runs `context` until `sql` is true.
    void wait_until(asio::io_context& context, const std::string& sql) {
        wait(context, until(context, sql_, sql));
    }
    void wait_until_rows(asio::io_context& context, int rows) {
        wait_until(context, "SELECT count(*) = " + std::to_string(rows) + " FROM agent_states");
    }

    const std::string database;

private:
    pqxx::connection sql_;
};

} // namespace pgstate_test

#endif
