#ifndef PGSTATE_BENCH_WORKLOAD_HPP
#define PGSTATE_BENCH_WORKLOAD_HPP

#include "arguments.hpp"
#include "generator.hpp"
#include "pgstate/agent_state.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace bench {

/// An agent and a session by their numbers.
struct key {
    std::uint32_t agent = 0;
    std::uint32_t session = 0;

    std::string agent_id() const { return "agent-" + std::to_string(agent); }
    std::string session_id() const { return "session-" + std::to_string(session); }
};

/// What callers do next, and the states that they save.
class workload {
public:
    explicit workload(const arguments& chosen);

    /// The generator of one caller, different in each phase of the run.
    generator choices_of(unsigned caller, unsigned phase) const;

    operation pick_operation(generator& choices) const;
    key pick_key(generator& choices) const;

    pgstate::agent_state make_state(key whose, generator& choices) const;
    std::vector<pgstate::agent_message> make_message() const;
    /// Adds a message of a size with which the last four, which stay, are as long as the message of a fresh state.
    void append_message(pgstate::agent_state& to) const;

    /// Whether every state that is looked for must be there.
    bool all_present() const noexcept { return op_ != operation::erase && op_ != operation::mixed; }
    std::size_t content_bytes() const noexcept { return content_.size(); }

private:
    operation op_;
    std::uint32_t agents_;
    std::uint32_t sessions_;
    std::uint64_t seed_;
    std::string content_;
};

} // namespace bench

#endif
