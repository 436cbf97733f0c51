#ifndef PGSTATE_TEST_HISTORIES_HPP
#define PGSTATE_TEST_HISTORIES_HPP

#include "pgstate/agent_state.hpp"
#include "pgstate/history_window.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace pgstate_test {

/// The message of this number in every history here, and those from one number on and below another.
pgstate::agent_message nth_message(std::size_t number);
std::vector<pgstate::agent_message> nth_messages(std::size_t from, std::size_t until);

/// A state of agent "a" with so many messages, data and context.
pgstate::agent_state state_with_messages(std::size_t count, const std::string& session = "s");

/// Which part of a history of some length is expected: the messages from `first` on and below `until`.
struct history_part {
    std::size_t first, until;
};

struct named_window {
    std::string name;
    pgstate::history_window window;
    std::function<history_part(std::size_t length)> of;
};

/// Windows of all kinds, about the ends of a history of `length` messages and far beyond.
std::vector<named_window> windows_around(std::size_t length);

inline constexpr std::uint64_t a_billion = 1'000'000'000;
inline constexpr std::uint64_t half_of_all = std::uint64_t{1} << 63; ///< numbers

/// That `state` has that part of state_with_messages(length), and everything else.
void check_part(const pgstate::agent_state& state, std::size_t length, const history_part& expected);

} // namespace pgstate_test

#endif
