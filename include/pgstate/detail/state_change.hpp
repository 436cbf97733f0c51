#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/operations.hpp"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace pgstate::detail {

struct increment {
    std::string pointer;
    std::variant<std::int64_t, double> by;
};

/// A change of a part of a state, as a store takes it: append, merge, increment.
using state_change = std::variant<std::vector<agent_message>, state_patch, increment>;

} // namespace pgstate::detail
