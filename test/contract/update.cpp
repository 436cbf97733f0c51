#include "pgstate/postgres_store.hpp"
#include "support/states.hpp"
#include "support/stores.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

constexpr pgstate::update_options or_create{.create = true};

std::int64_t counted(const agent_state& state) {
    return state.data.contains("n") ? state.data.at("n").as_int64() : 0;
}

void add_one(agent_state& state) {
    state.data["n"] = counted(state) + 1;
}

/// The function of an update behind whose back another saves 10 times the number of `calls`, in the first `times` of these.
auto disturbed(store_under_test& store, int& calls, int times) {
    return [&, times](agent_state& state) {
        if (++calls <= times) {
            agent_state other("a", "s");
            other.data["n"] = 10 * calls;
            // For the same key, and accepted before the update's own save: it takes effect first.
            store->save(other, [](std::exception_ptr failure, pgstate::saved) { CHECK_FALSE(failure); });
        }
        add_one(state);
    };
}
constexpr int always = std::numeric_limits<int>::max();

void must_not_be_called(agent_state&) {
    FAIL("called");
}

} // namespace

TEST_CASE("an update saves what its function made of the state", "[contract][update]") {
    store_under_test store;
    auto state = state_with("a", "s", R"({"n": 41})");
    state.context["kept"] = true;
    const auto before = store.wait(store->save(state));
    const auto after = store.wait(store->update("a", "s", add_one));
    CHECK(after.version > before.version);
    CHECK(after.created_at == before.created_at);
    const auto loaded = store.loaded("a", "s");
    CHECK(counted(loaded) == 42);
    CHECK(loaded.context.at("kept") == true);
    CHECK(loaded.version == after.version);
    CHECK(loaded.updated_at == after.updated_at);
}

TEST_CASE("an update of a missing state fails, or creates it where that is wanted", "[contract][update]") {
    store_under_test store;
    store.failure(store->update("a", "s", must_not_be_called, as_result), errc::not_found, "update");
    CHECK_FALSE(store.has("a", "s"));

    const auto make = [](agent_state& state) {
        CHECK(state == agent_state("a", "s"));
        add_one(state);
    };
    const auto made = store.wait(store->update("a", "s", make, or_create));
    CHECK(made.version > 0);
    CHECK(store.wait(store->update("a", "s", add_one, or_create)).version > made.version);
    CHECK(counted(store.loaded("a", "s")) == 2);
}

TEST_CASE("an update begins again after a conflict, and where another created the state first",
          "[contract][update]") {
    store_under_test store;
    const bool creates = GENERATE(false, true);
    CAPTURE(creates);
    if (!creates) store.wait(store->save(agent_state("a", "s")));
    int calls = 0;
    const auto done = store.wait(
        store->update("a", "s", disturbed(store, calls, 1), pgstate::update_options{.create = creates}));
    CHECK(calls == 2);
    const auto loaded = store.loaded("a", "s");
    CHECK(counted(loaded) == 11); // what the other saved, and one
    CHECK(loaded.version == done.version);
}

TEST_CASE("an update never brings an erased state back", "[contract][update]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    const auto erase_behind = [&](agent_state& s) {
        store->erase("a", "s", [](std::exception_ptr failure, bool) { CHECK_FALSE(failure); });
        add_one(s);
    };
    store.failure(store->update("a", "s", erase_behind, as_result), errc::not_found);
    CHECK_FALSE(store.has("a", "s"));
}

TEST_CASE("an update whose function declines saves nothing", "[contract][update]") {
    store_under_test store;
    const auto before = store.wait(store->save(agent_state("a", "s")));
    bool accepts = false;
    const auto decide = [&](agent_state& s) {
        add_one(s);
        return accepts;
    };
    CHECK(store.wait(store->update("a", "s", decide)) == before);
    const auto loaded = store.loaded("a", "s");
    CHECK(loaded.version == before.version);
    CHECK(counted(loaded) == 0);
    CHECK(store.wait(store->update("a", "new", decide, or_create)) == pgstate::saved());
    CHECK_FALSE(store.has("a", "new"));
    accepts = true;
    CHECK(store.wait(store->update("a", "s", decide)).version > before.version);
}

TEST_CASE("what an update's function throws comes back, and nothing is saved", "[contract][update]") {
    store_under_test store;
    const auto before = store.wait(store->save(agent_state("a", "s")));
    const auto explained = [](agent_state&) { throw std::runtime_error("the function's own reason"); };
    const auto error =
        store.failure(store->update("a", "s", explained, as_result), errc::callback_failed, "update");
    CHECK(names(error, "the function's own reason"));
    REQUIRE(error.cause());
    CHECK_THROWS_AS(std::rethrow_exception(error.cause()), std::runtime_error);

    const auto odd = [](agent_state&) { throw 42; };
    const auto wrapped = store.failure(store->update("a", "s", odd, as_result), errc::callback_failed);
    REQUIRE(wrapped.cause());
    CHECK_THROWS_AS(std::rethrow_exception(wrapped.cause()), int);

    // One of pgstate's own passes through; a conflict among them is not one of this update's.
    int calls = 0;
    const auto own = [&](agent_state&) {
        ++calls;
        throw pgstate::error(errc::conflict, "find", "no such tenant");
    };
    store.failure(store->update("a", "s", own, as_result), errc::conflict, "find");
    CHECK(calls == 1);
    CHECK(store.loaded("a", "s").version == before.version);
}

TEST_CASE("an update that meets others each time fails with the last conflict", "[contract][update]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    for (const int retries : {0, 3}) {
        CAPTURE(retries);
        int calls = 0;
        const pgstate::update_options options{.max_retries = retries};
        const auto error =
            store.failure(store->update("a", "s", disturbed(store, calls, always), options, as_result),
                          errc::conflict, "update");
        CHECK(calls == retries + 1);
        const auto loaded = store.loaded("a", "s");
        CHECK(counted(loaded) == 10 * calls);
        CHECK(error.current_version() == loaded.version);
    }
}

TEST_CASE("an update's time-out is for all of it", "[contract][update]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    int calls = 0;
    const pgstate::update_options options{.max_retries = 1'000'000, .timeout = 200ms};
    store.failure(store->update("a", "s", disturbed(store, calls, always), options, as_result),
                  errc::timed_out, "update");
    CHECK(calls > 1);
}

TEST_CASE("an update refuses bad arguments before its function is called", "[contract][update]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    const pgstate::update_options negative{.max_retries = -1};
    const pgstate::update_options late{.timeout = -1ms};
    store.refuses(store->update("", "s", must_not_be_called, as_result), "update", "agent_id");
    store.refuses(store->update("a", "s", must_not_be_called, negative, as_result), "update", "max_retries");
    store.refuses(store->update("a", "s", must_not_be_called, late, as_result), "update", "timeout");

    // What the function makes of the state is looked at as well.
    const auto move = [](agent_state& s) { s.session_id = "t"; };
    store.refuses(store->update("a", "s", move, as_result), "update", "session_id");
    const auto spoil = [](agent_state& s) { s.data["bad"] = std::string(1, '\0'); };
    store.refuses(store->update("a", "s", spoil, as_result), "update", "data");
    CHECK_FALSE(store.has("a", "t"));
}

TEST_CASE("of many updates at once none is lost", "[contract][update]") {
    store_under_test store;
    constexpr int writers = 100;
    successes done;
    for (int i = 0; i < writers; ++i)
        store->update("a", "counter", add_one, {.max_retries = 1000, .create = true}, done.handler());
    store.run_until([&] { return done.count == writers; });
    CHECK(counted(store.loaded("a", "counter")) == writers);
}

TEST_CASE("a cancelled update is given up in whatever it does", "[contract][update]") {
    store_under_test store;
    const auto before = store.wait(store->save(agent_state("a", "s")));
    asio::cancellation_signal signal;
    std::optional<pgstate::result<pgstate::saved>> outcome;
    int calls = 0;
    const auto token = [&] {
        return as_result(asio::bind_cancellation_slot(
            signal.slot(), [&](pgstate::result<pgstate::saved> result) { outcome = result; }));
    };
    int expected_calls = 0;
    SECTION("at once") {
        store->update("a", "s", must_not_be_called, token());
        signal.emit(asio::cancellation_type::terminal);
    }
    SECTION("from within its function") {
        expected_calls = 1;
        const auto cancel = [&](agent_state& s) {
            ++calls;
            add_one(s);
            signal.emit(asio::cancellation_type::terminal);
        };
        store->update("a", "s", cancel, token());
    }
    SECTION("while it meets others") {
        expected_calls = 5;
        store->update("a", "s", disturbed(store, calls, always), {.max_retries = 1'000'000}, token());
        store.run_until([&] { return calls == 5; });
        signal.emit(asio::cancellation_type::terminal);
    }
    store.run_until([&] { return outcome.has_value(); });
    CHECK(calls == expected_calls);
    REQUIRE(outcome->has_error());
    CHECK(outcome->error() == asio::error::operation_aborted);
    CHECK(outcome->error().operation() == "update");
    if (expected_calls < 5) CHECK(store.loaded("a", "s").version == before.version);
}

TEST_CASE("an update runs its function on the handler's executor, never inside the call",
          "[contract][update]") {
    store_under_test store;
    auto strand = asio::make_strand(store.context());
    bool inside = false;
    int calls = 0;
    bool done = false;
    asio::post(strand, [&] {
        inside = true;
        store->update(
            "a", "s",
            // Twice, so that it is also seen after a pause.
            [&, owned = std::make_unique<int>(1), disturb = disturbed(store, calls, 1)](agent_state& s) {
                CHECK_FALSE(inside);
                CHECK(strand.running_in_this_thread());
                disturb(s);
                s.data["n"] = *owned;
            },
            or_create, asio::bind_executor(strand, [&](std::exception_ptr failure, pgstate::saved) {
                CHECK_FALSE(failure);
                CHECK_FALSE(inside);
                CHECK(strand.running_in_this_thread());
                done = true;
            }));
        inside = false;
    });
    store.run_until([&] { return done; });
    CHECK(calls == 2);
}

TEST_CASE("an update whose store is closed meanwhile is refused", "[contract][update]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    const auto close = [&](agent_state&) {
        store->close([](std::exception_ptr failure) { CHECK_FALSE(failure); });
    };
    store.failure(store->update("a", "s", close, as_result), errc::closed, "update");
}

TEST_CASE("an update ends when its store does", "[contract][update]") {
    asio::io_context context;
    auto store = open_store(any_kind(), context).store;
    std::optional<pgstate::result<pgstate::saved>> outcome;
    store->update(
        "a", "s",
        [&](agent_state&) {
            store.reset();
            return true;
        },
        or_create, as_result([&](pgstate::result<pgstate::saved> result) { outcome = result; }));
    run_until(context, [&] { return outcome.has_value(); });
    CHECK(require_failure(*outcome, errc::closed).operation() == "update");
}
