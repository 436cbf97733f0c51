#include "support/states.hpp"
#include "support/stores.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>

#include <catch2/catch_test_macros.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

/// Runs a context on a thread of its own while it lives.
class background {
public:
    explicit background(asio::io_context& context) : context_(context), work_(context.get_executor()) {
        context.restart();
        thread_ = std::thread([&context] { context.run(); });
    }
    background(const background&) = delete;
    background& operator=(const background&) = delete;
    ~background() {
        work_.reset();
        context_.stop();
        thread_.join();
    }

private:
    asio::io_context& context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::thread thread_;
};

struct counts {
    int allocated = 0;
    int freed = 0;
};

/// Counts, for handlers of one thread.
template <class T>
class counting_allocator {
public:
    using value_type = T;

    explicit counting_allocator(counts& into) : into_(&into) {}
    template <class U>
    counting_allocator(const counting_allocator<U>& other) : into_(other.into_) {}

    T* allocate(std::size_t n) {
        ++into_->allocated;
        return std::allocator<T>().allocate(n);
    }
    void deallocate(T* memory, std::size_t n) {
        ++into_->freed;
        std::allocator<T>().deallocate(memory, n);
    }
    friend bool operator==(const counting_allocator&, const counting_allocator&) = default;

private:
    template <class>
    friend class counting_allocator;
    counts* into_;
};

/// Starts every operation once, each with the handler that `make_handler()` gives.
template <class MakeHandler>
int start_every_operation(pgstate::state_store& store, MakeHandler make_handler) {
    const agent_state state("a", "s");
    const agent_state refused;
    store.save(state, make_handler());
    store.save(refused, make_handler());
    store.load("a", "s", make_handler());
    store.load("", "", make_handler());
    store.erase("a", "s", make_handler());
    store.list("a", make_handler());
    store.list("", make_handler());
    store.count(make_handler());
    store.count("a", make_handler());
    store.health_check(make_handler());
    store.transaction([](pgstate::transaction&) {}, make_handler());
    store.transaction([](pgstate::transaction&) { return 1; }, make_handler());
    return 12;
}

} // namespace

TEST_CASE("every kind of completion token works", "[contract]") {
    store_under_test store;
    auto state = state_with("a", "s", R"({"value": 1})");

    SECTION("a callback") {
        std::optional<agent_state> loaded;
        int called = 0;
        store->save(state, [&](std::exception_ptr failure, pgstate::saved saved) {
            CHECK_FALSE(failure);
            CHECK(saved.version > 0);
            ++called;
            store->load("a", "s", [&](std::exception_ptr e, std::optional<agent_state> s) {
                CHECK_FALSE(e);
                loaded = std::move(s);
                ++called;
            });
        });
        store.run_until([&] { return called == 2; });
        REQUIRE(loaded.has_value());
        CHECK(loaded->data == state.data);
    }
    SECTION("a callback that can only be moved") {
        bool called = false;
        store->save(state, [&, owned = std::make_unique<int>(1)](std::exception_ptr failure, pgstate::saved) {
            CHECK_FALSE(failure);
            called = *owned == 1;
        });
        store.run_until([&] { return called; });
    }
    SECTION("use_awaitable") {
        store.run([&]() -> asio::awaitable<void> {
            co_await store->save(state, asio::use_awaitable);
            const auto loaded = co_await store->load("a", "s", asio::use_awaitable);
            CHECK(loaded.has_value());
            const bool erased = co_await store->erase("a", "s", asio::use_awaitable);
            CHECK(erased);
            bool thrown = false;
            try {
                co_await store->load("", "s", asio::use_awaitable);
            } catch (const pgstate::error& e) {
                thrown = e == errc::invalid_argument;
            }
            CHECK(thrown);
        });
    }
    SECTION("use_future") {
        background runs(store.context());
        CHECK(store->save(state, asio::use_future).get().version > 0);
        CHECK(store->load("a", "s", asio::use_future).get().has_value());
        CHECK(store->count(asio::use_future).get() == 1);
        CHECK(store->list("a", asio::use_future).get().size() == 1);
        CHECK(store->transaction([](pgstate::transaction&) { return 7; }, asio::use_future).get() == 7);
        store->transaction([](pgstate::transaction&) {}, asio::use_future).get();
        CHECK(store->erase("a", "s", asio::use_future).get());
        auto refused = store->load("", "s", asio::use_future);
        CHECK_THROWS_AS(refused.get(), pgstate::error);
    }
    SECTION("deferred") {
        store.run([&]() -> asio::awaitable<void> {
            auto save = store->save(state, asio::deferred);
            state.data["value"] = 2; // the operation has its own copy
            co_await std::move(save)(asio::use_awaitable);
            auto load = store->load("a", "s", asio::deferred);
            const auto loaded = co_await std::move(load)(asio::use_awaitable);
            REQUIRE(loaded.has_value());
            CHECK(loaded->data.at("value") == 1);
        });
    }
    SECTION("as_tuple") {
        const auto as_tuple = asio::as_tuple(asio::use_awaitable);
        CHECK_FALSE(std::get<0>(store.wait(store->save(state, as_tuple))));
        CHECK(std::get<0>(store.wait(store->load("", "s", as_tuple))));
    }
    SECTION("as_result") {
        store.run([&]() -> asio::awaitable<void> {
            const auto saved = co_await store->save(state, as_result);
            REQUIRE(saved.has_value());
            CHECK(saved->version > 0);
            const auto loaded = co_await store->load("a", "s", as_result);
            REQUIRE(loaded.has_value());
            CHECK((*loaded)->data == state.data);
            const auto nothing = co_await store->load("a", "other", as_result);
            REQUIRE(nothing.has_value());
            CHECK_FALSE(nothing->has_value());
            const auto refused = co_await store->load("", "s", as_result);
            require_failure(refused, errc::invalid_argument);
            const auto done = co_await store->transaction([](pgstate::transaction&) {}, as_result);
            CHECK(done.has_value());
        });
    }
    SECTION("as_result of another token") {
        background runs(store.context());
        const auto saved = store->save(state, as_result(asio::use_future)).get();
        REQUIRE(saved.has_value());
        const auto refused = store->load("", "s", as_result(asio::use_future)).get();
        require_failure(refused, errc::invalid_argument);
    }
}

TEST_CASE("the handler's allocator has the memory for the handler", "[contract]") {
    store_under_test store;
    counts memory;
    int done = 0;
    int started = 0;
    SECTION("a callback") {
        started = start_every_operation(*store, [&] {
            return asio::bind_allocator(counting_allocator<void>(memory),
                                        [&](std::exception_ptr, auto&&...) { ++done; });
        });
    }
    SECTION("as_result") {
        started = start_every_operation(*store, [&] {
            return as_result(asio::bind_allocator(counting_allocator<void>(memory), [&](auto&&) { ++done; }));
        });
    }
    CHECK(memory.allocated >= started);
    store.run_until([&] { return done == started; });
    CHECK(memory.allocated == memory.freed);
}

TEST_CASE("a handler runs on its executor, never inside the call", "[contract]") {
    store_under_test store;
    auto strand = asio::make_strand(store.context());
    bool inside = false;
    int done = 0;
    int started = 0;
    // Started on the strand itself, where a dispatch would run the handler at once.
    asio::post(strand, [&] {
        inside = true;
        started = start_every_operation(*store, [&] {
            return asio::bind_executor(strand, [&](std::exception_ptr, auto&&...) {
                CHECK_FALSE(inside);
                CHECK(strand.running_in_this_thread());
                ++done;
            });
        });
        inside = false;
    });
    store.run_until([&] { return started > 0 && done == started; });
}

TEST_CASE("without an executor a handler runs on the store's, never inside the call", "[contract]") {
    store_under_test store;
    bool inside = false;
    int done = 0;
    int started = 0;
    asio::post(store.context(), [&] {
        inside = true;
        started = start_every_operation(*store, [&] {
            return [&](std::exception_ptr, auto&&...) {
                CHECK_FALSE(inside);
                CHECK(store.context().get_executor().running_in_this_thread());
                ++done;
            };
        });
        inside = false;
    });
    store.run_until([&] { return started > 0 && done == started; });
}

TEST_CASE("the handler's own context is kept alive until it has run", "[contract]") {
    store_under_test store;
    asio::io_context other;
    int done = 0;
    int elsewhere = 0;
    const int started = start_every_operation(*store, [&] {
        return asio::bind_executor(other.get_executor(), [&](std::exception_ptr, auto&&...) {
            ++done;
            if (!other.get_executor().running_in_this_thread()) ++elsewhere;
        });
    });
    background runs(store.context());
    other.run(); // ends when there is no work left: not before every handler has run
    CHECK(done == started);
    CHECK(elsewhere == 0);
}

TEST_CASE("a coroutine goes on where it ran", "[contract]") {
    store_under_test store;
    auto strand = asio::make_strand(store.context());
    successes done;
    asio::co_spawn(
        strand,
        [&]() -> asio::awaitable<void> {
            const agent_state state("a", "s");
            co_await store->save(state);
            CHECK(strand.running_in_this_thread());
            co_await store->load("a", "s");
            CHECK(strand.running_in_this_thread());
            co_await store->transaction([](pgstate::transaction&) {});
            CHECK(strand.running_in_this_thread());
        },
        done.handler());
    store.run_until([&] { return done.count == 1; });
}

TEST_CASE("an operation that nobody started does nothing", "[contract]") {
    store_under_test store;
    const agent_state state("a", "s");
    {
        auto never = store->save(state, asio::deferred);
        auto neither = store->save(state, asio::use_awaitable);
    }
    CHECK(store.wait(store->count()) == 0);
}
