#include "support/histories.hpp"

#include "support/states.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>

namespace pgstate_test {

using pgstate::history_window;

pgstate::agent_message nth_message(std::size_t number) {
    pgstate::agent_message made("user", "message " + std::to_string(number),
                                pgstate::timestamp(std::chrono::hours(number + 1)));
    if (number % 3 == 0) made.metadata["number"] = number;
    return made;
}

std::vector<pgstate::agent_message> nth_messages(std::size_t from, std::size_t until) {
    std::vector<pgstate::agent_message> made;
    for (; from < until; ++from)
        made.push_back(nth_message(from));
    return made;
}

pgstate::agent_state state_with_messages(std::size_t count, const std::string& session) {
    auto state = state_with("a", session, R"({"value": 1})");
    state.context["kept"] = true;
    state.history = nth_messages(0, count);
    return state;
}

std::vector<named_window> windows_around(std::size_t length) {
    const auto everything = [](std::size_t all) { return history_part{0, all}; };
    const auto nothing = [](std::size_t all) { return history_part{all, all}; };
    std::vector<named_window> windows{
        {"default", {}, everything},
        {"all", history_window::all, everything},
        {"none", history_window::none, nothing},
        {"after(-1)", history_window::after(~std::uint64_t{0}), everything},
    };
    const auto last_of = [](std::size_t until, std::uint64_t most) {
        return until - static_cast<std::size_t>(std::min<std::uint64_t>(most, until));
    };
    for (const std::uint64_t n :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{length} - 1,
          std::uint64_t{length}, std::uint64_t{length} + 1, a_billion, half_of_all}) {
        if (n > half_of_all) continue; // before the first of no messages
        const auto text = std::to_string(n);
        if (n != 0)
            windows.push_back({"last(" + text + ")", history_window::last(n), [=](std::size_t all) {
                                   return history_part{last_of(all, n), all};
                               }});
        windows.push_back({"after(" + text + ")", history_window::after(n), [=](std::size_t all) {
                               return history_part{n < all ? static_cast<std::size_t>(n) + 1 : all, all};
                           }});
        for (const std::uint64_t most : {std::uint64_t{1}, std::uint64_t{2}, a_billion, half_of_all})
            windows.push_back({"before(" + text + ", " + std::to_string(most) + ")",
                               history_window::before(n, most), [=](std::size_t all) {
                                   const auto until =
                                       static_cast<std::size_t>(std::min<std::uint64_t>(n, all));
                                   return history_part{last_of(until, most), until};
                               }});
    }
    return windows;
}

void check_part(const pgstate::agent_state& state, std::size_t length, const history_part& expected) {
    const auto whole = state_with_messages(length, state.session_id);
    CHECK(state.data == whole.data);
    CHECK(state.context == whole.context);
    CHECK(state.history == nth_messages(expected.first, expected.until));
    CHECK(state.history_offset == expected.first);
}

} // namespace pgstate_test
