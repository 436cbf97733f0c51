// Two writers of one state: a save says which version it is meant to replace, and the one that comes second begins again.
// First as a loop, then as `update`, which is this loop.
#include "support/run_example.hpp"
#include <pgstate/pgstate.hpp>

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include <cstdint>
#include <iostream>

namespace asio = boost::asio;
using namespace boost::asio::experimental::awaitable_operators;

namespace {

std::int64_t visits(const pgstate::agent_state& state) {
    const auto* count = state.data.if_contains("visits");
    return count ? count->to_number<std::int64_t>() : 0;
}

asio::awaitable<void> count_visit_by_hand(pgstate::state_store& store) {
    // [loop]
    for (;;) {
        auto state = co_await store.load("agent-1", "session-1");
        if (!state) co_return;
        state->data["visits"] = visits(*state) + 1;
        auto done = co_await store.save(*state, {.if_unchanged = true}, pgstate::as_result);
        if (done) break;
        if (done.error() != pgstate::errc::conflict) throw done.error(); // or error().current_version()
    }
    // [loop]
}

asio::awaitable<void> count_visit(pgstate::state_store& store) {
    // [update]
    co_await store.update("agent-1", "session-1",
                          [](pgstate::agent_state& state) { state.data["visits"] = visits(state) + 1; });
    // [update]
}

asio::awaitable<void> run(pgstate::config config) {
    auto store = co_await pgstate::postgres_store::open(co_await asio::this_coro::executor, config);
    const pgstate::agent_state fresh("agent-1", "session-1");
    co_await store.save(fresh);

    for (int round = 0; round < 20; ++round)
        co_await (count_visit_by_hand(store) && count_visit(store) && count_visit(store));

    const auto state = co_await store.load("agent-1", "session-1");
    expect(state && visits(*state) == 60, "no visit is lost");
    std::cout << visits(*state) << " visits, " << store.stats().conflicts << " conflicts on the way\n";

    // What a function would do anyhow needs no loop at all: the server adds.
    co_await store.increment("agent-1", "session-1", "/data/visits", 1);

    // A version of 0 means that there must be no state yet, so of two creators one is told.
    const auto second = co_await store.save(fresh, {.if_unchanged = true}, pgstate::as_result);
    expect(!second && second.error() == pgstate::errc::conflict, "it is there already");
    std::cout << second.error().what() << '\n';
    co_await store.close();
}

} // namespace

int main(int argc, char** argv) {
    return run_example(argc, argv, run);
}
