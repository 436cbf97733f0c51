// A conversation that goes on in two ways: a checkpoint, a fork at it, and the way back.
#include "support/run_example.hpp"
#include <pgstate/pgstate.hpp>

#include <boost/asio.hpp>

#include <iostream>
#include <string>

namespace asio = boost::asio;

namespace {

asio::awaitable<void> show(pgstate::state_store& store, std::string session) {
    const auto state = co_await store.load("agent-1", session);
    std::cout << session << ", version " << state->version << '\n';
    for (const auto& message : state->history)
        std::cout << "  " << message.role << ": " << message.content << '\n';
}

asio::awaitable<void> run(pgstate::config config) {
    config.schema.checkpoints = true; // makes the table of checkpoints
    auto store = co_await pgstate::postgres_store::open(co_await asio::this_coro::executor, config);
    for (const auto* left_by_an_earlier_run : {"trip", "trip-2"})
        co_await store.erase("agent-1", left_by_an_earlier_run);

    const pgstate::change_options creating{.create = true};
    co_await store.append("agent-1", "trip",
                          {{"user", "Where shall we go?"}, {"assistant", "To the sea, or to the mountains."}},
                          creating);
    const auto choice = co_await store.checkpoint("agent-1", "trip", {.label = "the choice"});

    // One way goes on here. The other one begins at the checkpoint, though the conversation has moved on since.
    co_await store.append("agent-1", "trip", {{"user", "To the sea."}, {"assistant", "Take the boat."}});
    co_await store.fork("agent-1", "trip", "trip-2", {.at = choice.version});
    co_await store.append("agent-1", "trip-2", {{"user", "To the mountains."}, {"assistant", "Take boots."}});
    co_await show(store, "trip");
    co_await show(store, "trip-2");
    expect((co_await store.load("agent-1", "trip"))->history.size() == 4, "each way has its own messages");

    // Back to the choice. That is a save: the version grows, and the checkpoints stay.
    const auto restored = co_await store.restore("agent-1", "trip", choice.version);
    co_await show(store, "trip");
    expect(restored.version > choice.version, "a restore is a version of its own");
    for (const auto& each : co_await store.checkpoints("agent-1", "trip"))
        std::cout << "checkpoint " << each.version << ", \"" << each.label << "\", " << each.messages
                  << " messages\n";

    // A session that exists is never overwritten by a fork.
    const auto again = co_await store.fork("agent-1", "trip", "trip-2", pgstate::as_result);
    expect(again.has_error() && again.error() == pgstate::errc::conflict, "it is there already");
    co_await store.close();
}

} // namespace

int main(int argc, char** argv) {
    return run_example(argc, argv, run);
}
