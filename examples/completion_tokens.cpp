// Completion tokens: the same operations with a callback, with a future, awaited without exceptions, and deferred. Then
// how an operation is cancelled through a cancellation slot, and how it is given less time than the others.
// The event loop runs on a thread of its own, so that the main thread may block on futures.
#include "support/run_example.hpp"
#include <pgstate/pgstate.hpp>

#include <boost/asio.hpp>

#include <pqxx/connection>

#include <chrono>
#include <exception>
#include <future>
#include <iostream>
#include <optional>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// A callback gets what was thrown, or null, and the value. It runs on the store's executor, or on the one that is bound to
// it, and never inside the call.
void with_a_callback(pgstate::state_store& store) {
    std::promise<void> done;
    // [callback]
    store.load("agent-1", "session-1",
               [&](std::exception_ptr failure, std::optional<pgstate::agent_state> state) {
                   if (!failure && state) std::cout << "callback: version " << state->version << '\n';
                   done.set_value();
               });
    // [callback]
    done.get_future().wait();
}

// A future blocks the thread that asks it, which must not be one that runs the event loop.
void with_a_future(pgstate::state_store& store) {
    // [future]
    std::future<std::int64_t> sessions = store.count("agent-1", asio::use_future);
    std::cout << "future: " << sessions.get() << " session\n";
    // [future]
}

// as_result turns the failure into a value. With a token it adapts that one: here a function object that is started later.
asio::awaitable<void> without_exceptions(pgstate::state_store& store) {
    // [as_result]
    auto loaded = co_await store.load("agent-1", "session-1", pgstate::as_result);
    if (!loaded && loaded.error() == pgstate::errc::timed_out)
        std::cout << "the database is slow today: " << loaded.error().what() << '\n';
    // [as_result]

    auto later = store.load("agent-1", "no such session", pgstate::as_result(asio::deferred));
    const auto missing = co_await std::move(later); // it begins here
    expect(missing && !*missing, "a missing state is no error");
    std::cout << "as_result: " << (loaded ? "loaded" : "failed") << '\n';
}

// The slot belongs to the handler. A signal may be emitted only where nothing else uses it: on the handler's executor.
void cancel(pgstate::state_store& store, asio::io_context& io) {
    std::promise<std::exception_ptr> outcome;
    // [cancel]
    asio::cancellation_signal give_up;
    store.load("agent-1", "session-1",
               asio::bind_cancellation_slot(
                   give_up.slot(), [&](std::exception_ptr failure, std::optional<pgstate::agent_state>) {
                       outcome.set_value(failure);
                   }));
    asio::post(io, [&] { give_up.emit(asio::cancellation_type::terminal); });
    // [cancel]
    try {
        if (auto failure = outcome.get_future().get()) std::rethrow_exception(failure);
        expect(false, "the load is cancelled");
    } catch (const pgstate::error& e) {
        expect(e == asio::error::operation_aborted, "operation_aborted");
        std::cout << "cancelled: " << e.what() << '\n';
    }
}

void give_little_time(pgstate::state_store& store) {
    // [timeout]
    auto hurried =
        store.load("agent-1", "session-1", {.timeout = 50ms}, pgstate::as_result(asio::use_future));
    // [timeout]
    const auto outcome = hurried.get();
    expect(!outcome && outcome.error() == pgstate::errc::pool_exhausted, "no connection became free in time");
    std::cout << "in a hurry: " << outcome.error().what() << '\n';
}

// Holds the only connection while `meanwhile` runs, so that its operations have to wait.
template <class Function>
void while_all_connections_are_in_use(pgstate::postgres_store& store, Function meanwhile) {
    std::promise<void> has_it;
    std::promise<void> enough;
    auto hold = [&](pqxx::connection&) {
        has_it.set_value();
        enough.get_future().wait();
    };
    auto held = store.pool().with_connection(hold, asio::use_future);
    has_it.get_future().wait();
    meanwhile();
    enough.set_value();
    held.get();
}

void run(pgstate::config config) {
    config.pool.max_conns = 1;
    asio::io_context io;
    auto work = asio::make_work_guard(io);
    std::jthread loop([&io] { io.run(); });

    auto store = pgstate::postgres_store::open(io.get_executor(), config, asio::use_future).get();
    const pgstate::agent_state state("agent-1", "session-1");
    store.save(state, asio::use_future).get();

    with_a_callback(store);
    with_a_future(store);
    asio::co_spawn(io, without_exceptions(store), asio::use_future).get();
    while_all_connections_are_in_use(store, [&] {
        cancel(store, io);
        give_little_time(store);
    });
    store.close(asio::use_future).get();
    work.reset();
}

} // namespace

int main(int argc, char** argv) {
    return run_blocking_example(argc, argv, run);
}
