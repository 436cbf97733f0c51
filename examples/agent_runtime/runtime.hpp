#ifndef AGENT_RUNTIME_RUNTIME_HPP
#define AGENT_RUNTIME_RUNTIME_HPP

#include "ledger.hpp"
#include "meter.hpp"
#include "transcripts.hpp"
#include <pgstate/agent_state.hpp>
#include <pgstate/state_store.hpp>

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <vector>

namespace demo {

/// Runs agents: each session is a coroutine that loads its state, takes the turns that are still to come, and saves
/// after every one of them.
class runtime {
public:
    struct settings {
        std::chrono::milliseconds pace{0};
        std::uint64_t kill_after = 0;
        std::uint64_t window = 0;
    };

    runtime(pgstate::state_store& store, const transcripts& scripts, ledger& acks, meter& counts,
            settings chosen)
        : store_(store), scripts_(scripts), acks_(acks), meter_(counts), settings_(chosen) {}

    /// Ends when every session has its whole transcript, or, after stop(), when each has finished its turn.
    boost::asio::awaitable<void> run(const std::vector<session_id>& sessions);

    /// From any thread.
    void stop() { stopping_ = true; }

private:
    boost::asio::awaitable<void> play(session_id id);
    boost::asio::awaitable<bool> take_turns(session_id id, pgstate::agent_state& state);
    boost::asio::awaitable<void> think(std::minstd_rand& random) const;
    void acknowledge(session_id id, std::size_t turns);

    pgstate::state_store& store_;
    const transcripts& scripts_;
    ledger& acks_;
    meter& meter_;
    const settings settings_;
    std::atomic<bool> stopping_{false};
};

} // namespace demo

#endif
