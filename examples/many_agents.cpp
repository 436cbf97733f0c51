// Hundreds of agents at once on an event loop with several threads. Each is a coroutine that saves after every step; what
// waits for a connection shares statements. Then pages of sessions, and many states with one call.
#include "support/run_example.hpp"
#include <pgstate/pgstate.hpp>

#include <boost/asio.hpp>

#include <cstdint>
#include <exception>
#include <future>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;

namespace {

constexpr int agents = 300;
constexpr int steps = 5;
constexpr int sessions_of_one = 250;

// One thread at a time runs a coroutine, whichever it is; the store may be used from all of them.
asio::awaitable<void> run_agent(pgstate::state_store& store, int number) {
    pgstate::agent_state state("agent-" + std::to_string(number), "session-0");
    for (int step = 1; step <= steps; ++step) {
        state.context["step"] = step;
        co_await store.save(state);
    }
}

asio::awaitable<void> many_states(pgstate::state_store& store) {
    std::vector<pgstate::agent_state> turns;
    for (int i = 0; i < sessions_of_one; ++i)
        turns.emplace_back("planner", "session-" + std::to_string(i));

    // [save_all]
    auto results = co_await store.save_all(turns);    // a result<saved> for each
    co_await store.save_all(turns, {.atomic = true}); // or all of them in one transaction, or none
    // [save_all]
    for (const auto& each : results)
        expect(each.has_value(), "every state is saved");

    std::vector<pgstate::state_key> keys;
    // [list]
    pgstate::list_options options(100);
    do {
        auto page = co_await store.list("planner", options);
        for (const auto& session : page)
            keys.emplace_back("planner", session.session_id);
        options.after = page.next;
    } while (!options.after.empty());
    // [list]
    expect(keys.size() == sessions_of_one, "every session is listed once");

    // [load_all]
    auto states = co_await store.load_all(keys); // one for each key, empty where there is none
    // [load_all]
    for (const auto& each : states)
        expect(each.has_value(), "every state is loaded");

    const auto erased = co_await store.erase_all(keys);
    std::cout << keys.size() << " sessions of one agent: saved, listed, loaded, and " << erased
              << " erased\n";
}

void run(const pgstate::config& config) {
    asio::io_context io;
    auto work = asio::make_work_guard(io);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&io] { io.run(); });

    auto store = pgstate::postgres_store::open(io.get_executor(), config, asio::use_future).get();
    std::vector<std::future<void>> working;
    for (int i = 0; i < agents; ++i)
        working.push_back(asio::co_spawn(io, run_agent(store, i), asio::use_future));
    for (auto& each : working)
        each.get();

    const auto stats = store.stats();
    std::cout << stats.operations << " operations in " << stats.statements << " statements, "
              << stats.mean_batch() << " in each on average\n";
    expect(stats.statements < stats.operations, "operations share statements");

    asio::co_spawn(io, many_states(store), asio::use_future).get();
    store.close(asio::use_future).get();
    work.reset();
}

} // namespace

int main(int argc, char** argv) {
    return run_blocking_example(argc, argv, run);
}
