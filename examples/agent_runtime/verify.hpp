#ifndef AGENT_RUNTIME_VERIFY_HPP
#define AGENT_RUNTIME_VERIFY_HPP

#include "ledger.hpp"
#include "transcripts.hpp"
#include <pgstate/agent_state.hpp>
#include <pgstate/state_store.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <map>
#include <vector>

namespace demo {

/// What the states in the store say, held against the transcripts and the ledger. Counts are of turns where not said
/// otherwise.
struct findings {
    std::size_t sessions = 0; ///< sessions that have a state
    std::size_t finished = 0; ///< sessions that have their whole transcript
    std::size_t found = 0;    ///< turns in the histories
    std::size_t lost = 0;     ///< acknowledged, and not in the history
    std::size_t repeated = 0; ///< in the history once more
    std::size_t altered =
        0; ///< in the history, but not as in the transcript; or a state at odds with its history
    std::size_t unacknowledged = 0; ///< in the history without an acknowledgement: in flight at a crash

    bool clean() const { return lost == 0 && repeated == 0 && altered == 0; }
    findings& operator+=(const findings& other);
};

/// Whether turn `index` of the history is that turn of the transcript.
bool is_turn(const pgstate::agent_message& message, const turn& expected);

/// Looks at one session. \param state  null if the store has none
findings examine(const pgstate::agent_state* state, const transcript& script, std::size_t acknowledged);

/// Loads and examines every one of `sessions`.
boost::asio::awaitable<findings> verify(pgstate::state_store& store, const transcripts& scripts,
                                        const std::vector<session_id>& sessions,
                                        const std::map<session_id, std::size_t>& acknowledged);

} // namespace demo

#endif
