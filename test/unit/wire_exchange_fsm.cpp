#include "wire/exchange_fsm.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

namespace {

using pgstate::wire::exchange_fsm;
using event = exchange_fsm::event;
using action = exchange_fsm::action;

} // namespace

TEST_CASE("a plain exchange gives its rows and is over at the sync", "[exchange_fsm]") {
    exchange_fsm fsm;
    CHECK(fsm.in_flight() == 0);
    fsm.sent(0);
    CHECK(fsm.in_flight() == 1);
    CHECK(fsm.resume(event::rows) == action::store_rows);
    CHECK(fsm.in_flight() == 1);
    CHECK(fsm.resume(event::sync) == action::complete);
    CHECK(fsm.in_flight() == 0);
}

TEST_CASE("the result of a prepare is not the exchange's", "[exchange_fsm]") {
    exchange_fsm fsm;
    fsm.sent(1);
    CHECK(fsm.resume(event::rows) == action::before);
    CHECK(fsm.resume(event::rows) == action::store_rows);
    CHECK(fsm.resume(event::sync) == action::complete);
}

TEST_CASE("a statement that runs first, and both their prepares, give a result of their own each",
          "[exchange_fsm]") {
    exchange_fsm fsm;
    fsm.sent(3);
    SECTION("all succeed") {
        for (int i = 0; i < 3; ++i) {
            CHECK(fsm.results_before() == static_cast<std::size_t>(3 - i));
            CHECK(fsm.resume(event::rows) == action::before);
        }
        CHECK(fsm.results_before() == 0);
        CHECK(fsm.resume(event::rows) == action::store_rows);
    }
    SECTION("one in the middle is refused, and what follows is skipped") {
        CHECK(fsm.resume(event::rows) == action::before);
        CHECK(fsm.resume(event::error) == action::refuse);
        CHECK(fsm.resume(event::aborted) == action::none);
        CHECK(fsm.resume(event::aborted) == action::none);
    }
    CHECK(fsm.resume(event::sync) == action::complete);
    CHECK(fsm.in_flight() == 0);
}

TEST_CASE("an error in the prepare skips the execute", "[exchange_fsm]") {
    exchange_fsm fsm;
    fsm.sent(1);
    CHECK(fsm.resume(event::error) == action::refuse);
    CHECK(fsm.resume(event::aborted) == action::none);
    CHECK(fsm.in_flight() == 1);
    CHECK(fsm.resume(event::sync) == action::complete);
    CHECK(fsm.in_flight() == 0);
}

TEST_CASE("an error in the execute", "[exchange_fsm]") {
    const bool with_prepare = GENERATE(0U, 1U, 3U);
    exchange_fsm fsm;
    fsm.sent(with_prepare ? 1 : 0);
    if (with_prepare) CHECK(fsm.resume(event::rows) == action::before);
    CHECK(fsm.resume(event::error) == action::refuse);
    CHECK(fsm.resume(event::sync) == action::complete);
}

TEST_CASE("an error after the rows, from a commit that fails, replaces them", "[exchange_fsm]") {
    exchange_fsm fsm;
    fsm.sent(0);
    CHECK(fsm.resume(event::rows) == action::store_rows);
    CHECK(fsm.resume(event::error) == action::refuse);
    CHECK(fsm.resume(event::sync) == action::complete);
}

TEST_CASE("two exchanges in flight are answered in order, each with its own fate", "[exchange_fsm]") {
    exchange_fsm fsm;
    fsm.sent(1);
    fsm.sent(0);
    CHECK(fsm.in_flight() == 2);

    SECTION("both succeed") {
        CHECK(fsm.resume(event::rows) == action::before);
        CHECK(fsm.resume(event::rows) == action::store_rows);
    }
    SECTION("the first is refused") {
        CHECK(fsm.resume(event::error) == action::refuse);
        CHECK(fsm.resume(event::aborted) == action::none);
    }
    CHECK(fsm.resume(event::sync) == action::complete);
    CHECK(fsm.in_flight() == 1);

    // Another may be sent while the second is under way.
    fsm.sent(1);
    CHECK(fsm.resume(event::rows) == action::store_rows);
    CHECK(fsm.resume(event::sync) == action::complete);
    CHECK(fsm.resume(event::rows) == action::before);
    CHECK(fsm.resume(event::rows) == action::store_rows);
    CHECK(fsm.resume(event::sync) == action::complete);
    CHECK(fsm.in_flight() == 0);
}

TEST_CASE("answers that make no sense", "[exchange_fsm]") {
    exchange_fsm fsm;

    SECTION("nothing was asked") {
        const auto what = GENERATE(event::rows, event::error, event::aborted, event::sync, event::other);
        CHECK(fsm.resume(what) == action::give_up);
    }
    SECTION("more than was asked") {
        fsm.sent(0);
        CHECK(fsm.resume(event::rows) == action::store_rows);
        CHECK(fsm.resume(event::sync) == action::complete);
        CHECK(fsm.resume(event::rows) == action::give_up);
    }
    SECTION("the end before the prepare's result") {
        fsm.sent(1);
        CHECK(fsm.resume(event::sync) == action::give_up);
    }
    SECTION("the end between the prepare's result and the rows") {
        fsm.sent(1);
        CHECK(fsm.resume(event::rows) == action::before);
        CHECK(fsm.resume(event::sync) == action::give_up);
    }
    SECTION("the end before the rows") {
        fsm.sent(0);
        CHECK(fsm.resume(event::sync) == action::give_up);
    }
    SECTION("two results") {
        fsm.sent(0);
        CHECK(fsm.resume(event::rows) == action::store_rows);
        CHECK(fsm.resume(event::rows) == action::give_up);
    }
    SECTION("rows after an error") {
        fsm.sent(0);
        CHECK(fsm.resume(event::error) == action::refuse);
        CHECK(fsm.resume(event::rows) == action::give_up);
    }
    SECTION("two errors") {
        fsm.sent(0);
        CHECK(fsm.resume(event::error) == action::refuse);
        CHECK(fsm.resume(event::error) == action::give_up);
    }
    SECTION("skipped without an error") {
        fsm.sent(GENERATE(0U, 1U, 3U));
        CHECK(fsm.resume(event::aborted) == action::give_up);
    }
    SECTION("skipped after the rows") {
        fsm.sent(0);
        CHECK(fsm.resume(event::rows) == action::store_rows);
        CHECK(fsm.resume(event::aborted) == action::give_up);
    }
    SECTION("a copy, wherever it comes") {
        fsm.sent(GENERATE(0U, 1U, 3U));
        CHECK(fsm.resume(event::other) == action::give_up);
    }
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
