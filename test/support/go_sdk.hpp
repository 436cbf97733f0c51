#ifndef PGSTATE_TEST_SUPPORT_GO_SDK_HPP
#define PGSTATE_TEST_SUPPORT_GO_SDK_HPP

#include <string>

namespace pgstate_test {

inline const std::string go_columns =
    "agent_id TEXT NOT NULL, session_id TEXT NOT NULL, state JSONB NOT NULL,"
    " created_at TIMESTAMPTZ DEFAULT NOW(), updated_at TIMESTAMPTZ DEFAULT NOW(),"
    " PRIMARY KEY (agent_id, session_id)";

/// What the Go SDK runs when it starts.
inline const std::string go_schema =
    "CREATE TABLE IF NOT EXISTS agent_states (" + go_columns +
    ");"
    "CREATE INDEX IF NOT EXISTS idx_agent_states_agent_id ON agent_states(agent_id);"
    "CREATE INDEX IF NOT EXISTS idx_agent_states_updated_at ON agent_states(updated_at);";

/// Its table in two partitions.
inline const std::string partitioned_schema =
    "CREATE TABLE agent_states (" + go_columns +
    ") PARTITION BY HASH (agent_id);"
    "CREATE TABLE part_0 PARTITION OF agent_states FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE part_1 PARTITION OF agent_states FOR VALUES WITH (MODULUS 2, REMAINDER 1);";

/// Its save.
inline std::string go_save(const std::string& agent, const std::string& session, const std::string& state) {
    return "INSERT INTO agent_states (agent_id, session_id, state, created_at, updated_at) VALUES ('" +
           agent + "', '" + session + "', '" + state +
           "', NOW(), NOW()) ON CONFLICT (agent_id, session_id)"
           " DO UPDATE SET state = EXCLUDED.state, updated_at = NOW()";
}

} // namespace pgstate_test

#endif
