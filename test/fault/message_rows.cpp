#include "fault/message_rows.hpp"

#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>

#include <string_view>

namespace pgstate_test {
namespace {

constexpr std::string_view message_row_wrongs[] = {
    // Its rows from 0 to `messages` - 1, and no other ones. The primary key lets none be there twice.
    "SELECT format('the state %s/%s of %s messages has %s rows, from %s to %s', t.agent_id, t.session_id,"
    " t.messages, m.n, m.first, m.last) FROM agent_states t CROSS JOIN LATERAL (SELECT count(*) AS n, min(m.seq)"
    " AS first, max(m.seq) AS last FROM agent_states_messages m WHERE m.agent_id = t.agent_id"
    " AND m.session_id = t.session_id AND m.epoch = t.epoch) AS m WHERE t.epoch IS NOT NULL AND"
    " (t.messages, coalesce(m.first, 0), coalesce(m.last + 1, 0)) IS DISTINCT FROM (m.n, 0, m.n)",
    // What tells where the history is agrees.
    "SELECT format('the state %s/%s says in two places where its history is', t.agent_id, t.session_id)"
    " FROM agent_states t WHERE (t.epoch IS NULL) <> (t.messages IS NULL)"
    " OR (t.epoch IS NOT NULL AND t.state -> 'history' IS DISTINCT FROM '\"rows\"')"
    " OR (t.epoch IS NULL AND t.state -> 'history' = '\"rows\"')",
    "SELECT format('the checkpoint %s of %s/%s of %s messages has %s rows', c.version, c.agent_id, c.session_id,"
    " c.messages, m.n) FROM agent_states_checkpoints c JOIN agent_states t ON t.agent_id = c.agent_id"
    " AND t.session_id = c.session_id AND t.created_at IS NOT DISTINCT FROM c.state_created_at"
    " CROSS JOIN LATERAL (SELECT count(*) AS n FROM agent_states_messages m WHERE m.agent_id = c.agent_id"
    " AND m.session_id = c.session_id AND m.epoch = c.epoch AND m.seq < c.messages) AS m"
    " WHERE c.epoch IS NOT NULL AND m.n <> c.messages",
    "SELECT format('%s rows of messages of %s/%s are of no state and no checkpoint', count(*), m.agent_id,"
    " m.session_id) FROM agent_states_messages m WHERE NOT EXISTS (SELECT FROM agent_states t"
    " WHERE t.agent_id = m.agent_id AND t.session_id = m.session_id AND t.epoch = m.epoch) AND NOT EXISTS"
    " (SELECT FROM agent_states_checkpoints c WHERE c.agent_id = m.agent_id AND c.session_id = m.session_id"
    " AND c.epoch = m.epoch) GROUP BY m.agent_id, m.session_id, m.epoch"};

} // namespace

message_rows_findings look_at_message_rows(const std::string& connection_string) {
    pqxx::connection connection(connection_string);
    pqxx::nontransaction sql(connection);
    const auto counts = sql.exec(
        "SELECT count(t.epoch), count(*) - count(t.epoch), (SELECT count(*) FROM agent_states_messages)"
        " FROM agent_states t");
    message_rows_findings found;
    found.in_rows = counts[0][0].as<std::size_t>();
    found.in_document = counts[0][1].as<std::size_t>();
    found.rows = counts[0][2].as<std::size_t>();
    for (const auto each : message_row_wrongs) {
        const auto lines = sql.exec(std::string(each) + " LIMIT 20");
        for (int i = 0; i < static_cast<int>(lines.size()); ++i)
            found.wrongs.push_back(lines[i][0].as<std::string>());
    }
    return found;
}

} // namespace pgstate_test
