#include "wire/exchange_fsm.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using pgstate::wire::exchange_fsm;
using event = exchange_fsm::event;
using action = exchange_fsm::action;

/// What the server answers to exchanges with so many results before their own, and what is done about it.
struct conversation {
    std::string_view what;
    std::vector<std::size_t> sent;
    std::vector<std::pair<event, action>> answers;
};

void check_conversations(const std::vector<conversation>& conversations) {
    for (const auto& [what, sent, answers] : conversations) {
        CAPTURE(what, sent);
        exchange_fsm fsm;
        for (const auto before : sent)
            fsm.sent(before);
        auto in_flight = sent.size();
        CHECK(fsm.in_flight() == in_flight);
        for (const auto& [answer, expected] : answers) {
            CHECK(fsm.resume(answer) == expected);
            if (expected == action::complete) --in_flight;
            CHECK(fsm.in_flight() == in_flight);
        }
    }
}

constexpr std::pair earlier_rows{event::rows, action::before};
constexpr std::pair own_rows{event::rows, action::store_rows};
constexpr std::pair is_refused{event::error, action::refuse};
constexpr std::pair is_skipped{event::aborted, action::none};
constexpr std::pair is_over{event::sync, action::complete};

constexpr std::pair<event, action> nonsense(event what) {
    return {what, action::give_up};
}

} // namespace

TEST_CASE("an exchange gives its rows or its error, and is over at the sync", "[exchange_fsm]") {
    check_conversations({
        {"a plain exchange", {0}, {own_rows, is_over}},
        {"the result of a prepare is not the exchange's", {1}, {earlier_rows, own_rows, is_over}},
        {"nor those of a statement that runs first and of its prepare",
         {3},
         {earlier_rows, earlier_rows, earlier_rows, own_rows, is_over}},
        {"one in the middle is refused, and what follows is skipped",
         {3},
         {earlier_rows, is_refused, is_skipped, is_skipped, is_over}},
        {"an error in the prepare skips the execute", {1}, {is_refused, is_skipped, is_over}},
        {"an error in the execute", {0}, {is_refused, is_over}},
        {"an error in the execute, after a prepare", {1}, {earlier_rows, is_refused, is_over}},
        {"an error after the rows, from a commit that fails, replaces them",
         {0},
         {own_rows, is_refused, is_over}},
    });
}

TEST_CASE("it is known how many results come before the exchange's own", "[exchange_fsm]") {
    exchange_fsm fsm;
    fsm.sent(3);
    for (std::size_t left = 3; left > 0; --left) {
        CHECK(fsm.results_before() == left);
        fsm.resume(event::rows);
    }
    CHECK(fsm.results_before() == 0);
}

TEST_CASE("two exchanges in flight are answered in order, each with its own fate", "[exchange_fsm]") {
    exchange_fsm fsm;
    fsm.sent(1);
    fsm.sent(0);
    CHECK(fsm.in_flight() == 2);

    const auto first = GENERATE(std::pair(earlier_rows, own_rows), std::pair(is_refused, is_skipped));
    for (const auto& [answer, expected] : {first.first, first.second, is_over})
        CHECK(fsm.resume(answer) == expected);
    CHECK(fsm.in_flight() == 1);

    // Another may be sent while the second is under way.
    fsm.sent(1);
    for (const auto& [answer, expected] : {own_rows, is_over, earlier_rows, own_rows, is_over})
        CHECK(fsm.resume(answer) == expected);
    CHECK(fsm.in_flight() == 0);
}

TEST_CASE("answers that make no sense", "[exchange_fsm]") {
    for (const auto what : {event::rows, event::error, event::aborted, event::sync, event::other})
        check_conversations({{"nothing was asked", {}, {nonsense(what)}}});
    for (const std::size_t results_before : {0U, 1U, 3U})
        check_conversations({
            {"skipped without an error", {results_before}, {nonsense(event::aborted)}},
            {"a copy, wherever it comes", {results_before}, {nonsense(event::other)}},
        });
    check_conversations({
        {"more than was asked", {0}, {own_rows, is_over, nonsense(event::rows)}},
        {"the end before the prepare's result", {1}, {nonsense(event::sync)}},
        {"the end between the prepare's result and the rows", {1}, {earlier_rows, nonsense(event::sync)}},
        {"the end before the rows", {0}, {nonsense(event::sync)}},
        {"two results", {0}, {own_rows, nonsense(event::rows)}},
        {"rows after an error", {0}, {is_refused, nonsense(event::rows)}},
        {"two errors", {0}, {is_refused, nonsense(event::error)}},
        {"skipped after the rows", {0}, {own_rows, nonsense(event::aborted)}},
    });
}

TEST_CASE("cleared, it expects nothing", "[exchange_fsm]") {
    exchange_fsm fsm;
    fsm.sent(0);
    fsm.sent(1);
    fsm.clear();
    CHECK(fsm.in_flight() == 0);
    CHECK(fsm.resume(event::sync) == action::give_up);
    fsm.sent(0);
    CHECK(fsm.resume(event::rows) == action::store_rows);
}
