#include "pgstate/postgres_store.hpp"
#include "support/checks.hpp"
#include "support/stores.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

using namespace pgstate_test;
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

/// Saves `n` behind the back of an update that has loaded the state.
void save_behind(pgstate::state_store& store, std::int64_t n) {
    agent_state other("a", "s");
    other.data["n"] = n;
    // For the same key, and accepted before the update's own save: it takes effect first.
    store.save(other, [](std::exception_ptr failure, pgstate::saved) { CHECK_FALSE(failure); });
}

} // namespace

TEST_CASE("an update saves what its function made of the state", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        agent_state state("a", "s");
        state.data["n"] = 41;
        state.context["kept"] = true;
        const auto before = co_await store->save(state);
        const auto after = co_await store->update("a", "s", add_one);
        CHECK(after.version > before.version);
        CHECK(after.created_at == before.created_at);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(counted(*loaded) == 42);
        CHECK(loaded->context.at("kept") == true);
        CHECK(loaded->version == after.version);
        CHECK(loaded->updated_at == after.updated_at);
    });
}

TEST_CASE("an update of a missing state fails, or creates it where that is wanted", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        int calls = 0;
        const auto missing = co_await store->update(
            "a", "s", [&](agent_state&) { ++calls; }, as_result);
        CHECK(require_failure(missing, errc::not_found).operation() == "update");
        CHECK(calls == 0);
        co_await check_missing(*store, "a", "s");

        const auto made = co_await store->update(
            "a", "s",
            [&](agent_state& state) {
                CHECK(state == agent_state("a", "s"));
                add_one(state);
            },
            or_create);
        CHECK(made.version > 0);
        const auto again = co_await store->update("a", "s", add_one, or_create);
        CHECK(again.version > made.version);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(counted(*loaded) == 2);
    });
}

TEST_CASE("an update begins again after a conflict", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        co_await store->save(state);
        int calls = 0;
        const auto done = co_await store->update("a", "s", [&](agent_state& s) {
            if (++calls == 1) save_behind(*store, 10);
            add_one(s);
        });
        CHECK(calls == 2);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(counted(*loaded) == 11); // what the other saved, and one
        CHECK(loaded->version == done.version);
    });
}

TEST_CASE("an update that creates begins again where another was first", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        int calls = 0;
        co_await store->update(
            "a", "s",
            [&](agent_state& s) {
                if (++calls == 1) save_behind(*store, 10);
                add_one(s);
            },
            or_create);
        CHECK(calls == 2);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(counted(*loaded) == 11);
    });
}

TEST_CASE("an update never brings an erased state back", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        co_await store->save(state);
        const auto failed = co_await store->update(
            "a", "s",
            [&](agent_state& s) {
                store->erase("a", "s", [](std::exception_ptr failure, bool) { CHECK_FALSE(failure); });
                add_one(s);
            },
            as_result);
        require_failure(failed, errc::not_found);
        co_await check_missing(*store, "a", "s");
    });
}

TEST_CASE("an update whose function declines saves nothing", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        const auto before = co_await store->save(state);
        const auto declined = co_await store->update("a", "s", [](agent_state& s) {
            add_one(s);
            return false;
        });
        CHECK(declined == before);
        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->version == before.version);
        CHECK(counted(*loaded) == 0);
        const auto accepted = co_await store->update("a", "s", [](agent_state& s) {
            add_one(s);
            return true;
        });
        CHECK(accepted.version > before.version);

        const auto nothing = co_await store->update(
            "a", "new", [](agent_state&) { return false; }, or_create);
        CHECK(nothing == pgstate::saved());
        co_await check_missing(*store, "a", "new");
    });
}

TEST_CASE("what an update's function throws comes back, and nothing is saved", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        const auto before = co_await store->save(state);
        const auto failed = co_await store->update(
            "a", "s", [](agent_state&) { throw std::runtime_error("the function's own reason"); }, as_result);
        const auto error = require_failure(failed, errc::callback_failed);
        CHECK(error.operation() == "update");
        CHECK(names(error, "the function's own reason"));
        REQUIRE(error.cause());
        CHECK_THROWS_AS(std::rethrow_exception(error.cause()), std::runtime_error);

        const auto odd = co_await store->update(
            "a", "s", [](agent_state&) { throw 42; }, as_result);
        const auto wrapped = require_failure(odd, errc::callback_failed);
        REQUIRE(wrapped.cause());
        CHECK_THROWS_AS(std::rethrow_exception(wrapped.cause()), int);

        // One of pgstate's own passes through; a conflict among them is not one of this update's.
        int calls = 0;
        const auto own = co_await store->update(
            "a", "s",
            [&](agent_state&) {
                ++calls;
                throw pgstate::error(errc::conflict, "find", "no such tenant");
            },
            as_result);
        CHECK(require_failure(own, errc::conflict).operation() == "find");
        CHECK(calls == 1);

        const auto loaded = co_await store->load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->version == before.version);
    });
}

TEST_CASE("an update that meets others each time fails with the last conflict", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        co_await store->save(state);
        for (const int retries : {0, 3}) {
            CAPTURE(retries);
            int calls = 0;
            pgstate::update_options options;
            options.max_retries = retries;
            const auto failed = co_await store->update(
                "a", "s",
                [&](agent_state& s) {
                    save_behind(*store, ++calls);
                    add_one(s);
                },
                options, as_result);
            const auto error = require_failure(failed, errc::conflict);
            CHECK(error.operation() == "update");
            CHECK(calls == retries + 1);
            const auto loaded = co_await store->load("a", "s");
            REQUIRE(loaded.has_value());
            CHECK(counted(*loaded) == calls);
            CHECK(error.current_version() == loaded->version);
        }
    });
}

TEST_CASE("an update's time-out is for all of it", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        co_await store->save(state);
        int calls = 0;
        pgstate::update_options options;
        options.max_retries = 1'000'000;
        options.timeout = std::chrono::milliseconds(200);
        const auto failed = co_await store->update(
            "a", "s",
            [&](agent_state& s) {
                save_behind(*store, ++calls);
                add_one(s);
            },
            options, as_result);
        CHECK(require_failure(failed, errc::timed_out).operation() == "update");
        CHECK(calls > 1);
    });
}

TEST_CASE("an update refuses bad arguments before its function is called", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        co_await store->save(state);
        const auto refuse = [](agent_state&) { FAIL("called"); };
        const auto key = co_await store->update("", "s", refuse, as_result);
        CHECK(names(require_failure(key, errc::invalid_argument), "agent_id"));
        CHECK(key.error().operation() == "update");
        pgstate::update_options retries;
        retries.max_retries = -1;
        const auto negative = co_await store->update("a", "s", refuse, retries, as_result);
        CHECK(names(require_failure(negative, errc::invalid_argument), "max_retries"));
        pgstate::update_options time;
        time.timeout = std::chrono::milliseconds(-1);
        const auto late = co_await store->update("a", "s", refuse, time, as_result);
        CHECK(names(require_failure(late, errc::invalid_argument), "timeout"));

        // What the function makes of the state is looked at as well.
        const auto moved = co_await store->update(
            "a", "s", [](agent_state& s) { s.session_id = "t"; }, as_result);
        CHECK(names(require_failure(moved, errc::invalid_argument), "session_id"));
        const auto bad = co_await store->update(
            "a", "s", [](agent_state& s) { s.data["bad"] = std::string(1, '\0'); }, as_result);
        CHECK(names(require_failure(bad, errc::invalid_argument), "data"));
        CHECK(bad.error().operation() == "update");
        co_await check_missing(*store, "a", "t");
    });
}

TEST_CASE("of many updates at once none is lost", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    constexpr int writers = 100;
    int done = 0;
    pgstate::update_options options;
    options.create = true;
    options.max_retries = 1000;
    for (int i = 0; i < writers; ++i)
        store->update("a", "counter", add_one, options, [&](std::exception_ptr failure, pgstate::saved) {
            CHECK_FALSE(failure);
            ++done;
        });
    store.run_until([&] { return done == writers; });
    store.run([&]() -> asio::awaitable<void> {
        const auto loaded = co_await store->load("a", "counter");
        REQUIRE(loaded.has_value());
        CHECK(counted(*loaded) == writers);
    });
}

TEST_CASE("a cancelled update is given up in whatever it does", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    const agent_state state("a", "s");
    const auto before = store.run([&]() -> asio::awaitable<pgstate::saved> {
        const auto done = co_await store->save(state);
        co_return done;
    });
    asio::cancellation_signal signal;
    std::optional<pgstate::result<pgstate::saved>> outcome;
    int calls = 0;
    const auto token = [&] {
        return as_result(asio::bind_cancellation_slot(
            signal.slot(), [&](pgstate::result<pgstate::saved> result) { outcome = result; }));
    };
    SECTION("at once") {
        store->update(
            "a", "s", [&](agent_state&) { ++calls; }, token());
        signal.emit(asio::cancellation_type::terminal);
        store.run_until([&] { return outcome.has_value(); });
        CHECK(calls == 0);
    }
    SECTION("from within its function") {
        store->update(
            "a", "s",
            [&](agent_state& s) {
                ++calls;
                add_one(s);
                signal.emit(asio::cancellation_type::terminal);
            },
            token());
        store.run_until([&] { return outcome.has_value(); });
        CHECK(calls == 1);
        store.run([&]() -> asio::awaitable<void> {
            const auto loaded = co_await store->load("a", "s");
            REQUIRE(loaded.has_value());
            CHECK(loaded->version == before.version);
        });
    }
    SECTION("while it meets others") {
        pgstate::update_options options;
        options.max_retries = 1'000'000;
        store->update(
            "a", "s",
            [&](agent_state& s) {
                save_behind(*store, ++calls);
                add_one(s);
            },
            options, token());
        store.run_until([&] { return calls == 5; });
        signal.emit(asio::cancellation_type::terminal);
        store.run_until([&] { return outcome.has_value(); });
        CHECK(calls == 5);
    }
    REQUIRE(outcome->has_error());
    CHECK(outcome->error() == asio::error::operation_aborted);
    CHECK(outcome->error().operation() == "update");
}

TEST_CASE("an update runs its function on the handler's executor, never inside the call",
          "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    auto strand = asio::make_strand(store.context());
    bool inside = false;
    int calls = 0;
    bool done = false;
    asio::post(strand, [&] {
        inside = true;
        store->update(
            "a", "s",
            // Twice, so that it is also seen after a pause.
            [&, owned = std::make_unique<int>(1)](agent_state& s) {
                CHECK_FALSE(inside);
                CHECK(strand.running_in_this_thread());
                if (++calls == 1) save_behind(*store, 1);
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

TEST_CASE("an update meets a closed store", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const agent_state state("a", "s");
        co_await store->save(state);
        const auto closing = co_await store->update(
            "a", "s",
            [&](agent_state&) { store->close([](std::exception_ptr failure) { CHECK_FALSE(failure); }); },
            as_result);
        CHECK(require_failure(closing, errc::closed).operation() == "update");
        const auto refuse = [](agent_state&) { FAIL("called"); };
        const auto closed = co_await store->update("a", "s", refuse, as_result);
        CHECK(require_failure(closed, errc::closed).operation() == "update");
    });
}

TEST_CASE("an update ends when its store does", "[contract][update]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    asio::io_context context;
    auto store = open_store(kind, context).store;
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
