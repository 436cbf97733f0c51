#include "workload.hpp"

#include <chrono>

namespace bench {
namespace {

pgstate::timestamp now() {
    return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
}

pgstate::agent_state state_with(const std::string& content, key whose, std::uint32_t step) {
    pgstate::agent_state state{whose.agent_id(), whose.session_id()};
    state.data["step"] = step;
    state.history.emplace_back("user", content, now());
    state.context["user"] = "john";
    state.context["step"] = 1;
    return state;
}

// The length of a document with an empty message. A constant, because times vary in length, and a table whose messages
// are a byte off is filled again.
constexpr std::size_t frame_bytes = 286;

/// Messages that a rewritten state keeps.
constexpr std::size_t kept = 4;

} // namespace

workload::workload(const arguments& chosen)
    : op_(chosen.op), agents_(chosen.agents), sessions_(chosen.sessions), seed_(chosen.seed),
      content_(chosen.state_bytes - frame_bytes, 'x') {}

generator workload::choices_of(unsigned caller, unsigned phase) const {
    generator mixer(seed_ ^ (std::uint64_t{phase} << 32 | caller));
    return generator(mixer.next());
}

operation workload::pick_operation(generator& choices) const {
    if (op_ != operation::mixed) return op_;
    const auto percent = choices.below(100);
    if (percent < 80) return operation::load;
    if (percent < 95) return operation::save;
    return percent < 99 ? operation::list : operation::erase;
}

key workload::pick_key(generator& choices) const {
    const auto agent = choices.below(agents_);
    return {agent, choices.below(sessions_)};
}

pgstate::agent_state workload::make_state(key whose, generator& choices) const {
    return state_with(content_, whose, choices.below(1000));
}

std::vector<pgstate::agent_message> workload::make_message() const {
    constexpr std::size_t longest = 400;
    return {pgstate::agent_message("user", content_.substr(0, longest), now())};
}

void workload::append_message(pgstate::agent_state& to) const {
    to.history.emplace_back("user", content_.substr(0, content_.size() / kept), now());
    if (to.history.size() > kept)
        to.history.erase(to.history.begin(), to.history.end() - static_cast<std::ptrdiff_t>(kept));
}

} // namespace bench
