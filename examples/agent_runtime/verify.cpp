#include "verify.hpp"

#include "workers.hpp"

#include <algorithm>
#include <mutex>

namespace demo {
namespace {

bool agrees_with_history(const pgstate::agent_state& state, const transcript& script) {
    const std::size_t turns = state.history.size();
    if (turns >= script.checksums.size()) return false;
    const auto* turn = state.data.if_contains("turn");
    const auto* index = state.data.if_contains("transcript");
    const auto* checksum = state.data.if_contains("checksum");
    return turn && index && checksum && *turn == turns && *index == script.index &&
           *checksum == boost::json::value(script.checksums[turns]);
}

} // namespace

findings& findings::operator+=(const findings& other) {
    sessions += other.sessions;
    finished += other.finished;
    found += other.found;
    lost += other.lost;
    repeated += other.repeated;
    altered += other.altered;
    unacknowledged += other.unacknowledged;
    return *this;
}

bool is_turn(const pgstate::agent_message& message, const turn& expected) {
    return message.role == expected.role && message.content == expected.content &&
           message.metadata == expected.metadata;
}

findings examine(const pgstate::agent_state* state, const transcript& script, std::size_t acknowledged) {
    findings result;
    if (!state) {
        result.lost = acknowledged;
        return result;
    }
    const auto& history = state->history;
    result.sessions = 1;
    result.found = history.size();
    result.finished = history.size() == script.turns.size() ? 1 : 0;
    if (history.size() < acknowledged) result.lost = acknowledged - history.size();
    if (history.size() > acknowledged) result.unacknowledged = history.size() - acknowledged;

    for (std::size_t i = 0; i < history.size(); ++i) {
        if (i < script.turns.size() && is_turn(history[i], script.turns[i])) continue;
        const auto before =
            script.turns.begin() + static_cast<std::ptrdiff_t>(std::min(i, script.turns.size()));
        const bool again = std::any_of(script.turns.begin(), before,
                                       [&](const turn& earlier) { return is_turn(history[i], earlier); });
        ++(again ? result.repeated : result.altered);
    }
    if (!agrees_with_history(*state, script)) ++result.altered;
    return result;
}

boost::asio::awaitable<findings> verify(pgstate::state_store& store, const transcripts& scripts,
                                        const std::vector<session_id>& sessions,
                                        const std::map<session_id, std::size_t>& acknowledged) {
    findings total;
    std::mutex mutex;
    co_await for_each_item(sessions, [&](session_id id) -> boost::asio::awaitable<void> {
        const auto state = co_await store.load(id.agent_key(), id.session_key());
        const auto noted = acknowledged.find(id);
        const findings one = examine(state ? &*state : nullptr, scripts.of(id),
                                     noted == acknowledged.end() ? 0 : noted->second);
        const std::lock_guard lock(mutex);
        total += one;
    });
    co_return total;
}

} // namespace demo
