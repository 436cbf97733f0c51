#ifndef PGSTATE_TEST_ROWS_SUPPORT_HPP
#define PGSTATE_TEST_ROWS_SUPPORT_HPP

#include "integration/store_support.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// What the cases on histories in rows share.
namespace pgstate_test::rows {

inline pgstate::config in_rows() {
    pgstate::config settings;
    settings.schema.history = pgstate::history_layout::rows;
    return settings;
}

inline pgstate::agent_message numbered(std::size_t number) {
    pgstate::agent_message made("user", "message " + std::to_string(number));
    made.timestamp = pgstate::timestamp(std::chrono::seconds(1'000 + number));
    return made;
}

inline pgstate::agent_state conversation(std::size_t messages) {
    pgstate::agent_state state("a", "s");
    for (std::size_t i = 0; i < messages; ++i)
        state.history.push_back(numbered(i));
    return state;
}

inline std::int64_t number_of(const opened_store& f, const std::string& sql) {
    pqxx::connection connection(f.database);
    return pqxx::nontransaction(connection).exec(sql)[0][0].as<std::int64_t>();
}

inline std::int64_t rows_of_messages(const opened_store& f) {
    return number_of(f, "SELECT count(*) FROM agent_states_messages");
}

/// Messages that neither a state nor a checkpoint has.
inline std::int64_t orphans(const opened_store& f) {
    return number_of(
        f, "SELECT count(*) FROM agent_states_messages m WHERE NOT EXISTS (SELECT FROM agent_states t"
           " WHERE (t.agent_id, t.session_id, t.epoch) = (m.agent_id, m.session_id, m.epoch)"
           " AND m.seq < t.messages) AND NOT EXISTS (SELECT FROM agent_states_checkpoints c"
           " WHERE (c.agent_id, c.session_id, c.epoch) = (m.agent_id, m.session_id, m.epoch))");
}

inline std::string epoch_of(const opened_store& f, const std::string& session = "s") {
    pqxx::connection connection(f.database);
    const auto found =
        pqxx::nontransaction(connection)
            .exec("SELECT coalesce(epoch::text, '') FROM agent_states WHERE session_id = '" + session + "'");
    return found.empty() ? "none" : found[0][0].as<std::string>();
}

inline std::vector<pgstate::agent_message> history_of(opened_store& f, const std::string& session = "s") {
    return f.wait(f.store.load("a", session)).value().history;
}

} // namespace pgstate_test::rows

#endif
