// A cancellation signal may live longer than the operation that it is bound to, the store and their event loop, which may all
// end with the operation under way: it then does nothing. The address sanitizer and valgrind see what goes wrong here.

#include "pgstate/postgres_store.hpp"
#include "support/stores.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_message;
using pgstate::agent_state;

namespace {

using signal_slot = asio::cancellation_slot;

/// Each starts one operation that is bound to the slot.
std::vector<std::function<void(pgstate::state_store&, signal_slot)>> every_start() {
    const auto to = [](signal_slot with) { return asio::bind_cancellation_slot(with, [](auto&&...) {}); };
    const std::vector<pgstate::state_key> keys{{"a", "1"}, {"a", "2"}};
    const std::vector<agent_state> states{agent_state("a", "1"), agent_state("a", "2")};
    pgstate::save_all_options atomic;
    atomic.atomic = true;
    return {
        [=](auto& store, signal_slot with) { store.save(agent_state("a", "s"), to(with)); },
        [=](auto& store, signal_slot with) { store.load("a", "s", to(with)); },
        [=](auto& store, signal_slot with) { store.erase("a", "s", to(with)); },
        [=](auto& store, signal_slot with) { store.touch("a", "s", 1h, to(with)); },
        [=](auto& store, signal_slot with) { store.append("a", "s", agent_message("user", "hi"), to(with)); },
        [=](auto& store, signal_slot with) { store.list("a", to(with)); },
        [=](auto& store, signal_slot with) { store.find(pgstate::state_query(), to(with)); },
        [=](auto& store, signal_slot with) { store.count(to(with)); },
        [=](auto& store, signal_slot with) { store.load_all(keys, to(with)); },
        [=](auto& store, signal_slot with) { store.erase_all(keys, to(with)); },
        [=](auto& store, signal_slot with) { store.save_all(states, to(with)); },
        [=](auto& store, signal_slot with) { store.save_all(states, atomic, to(with)); },
        [=](auto& store, signal_slot with) { store.transaction([](pgstate::transaction&) {}, to(with)); },
        [=](auto& store, signal_slot with) {
            store.update(
                "a", "s", [](agent_state&) {}, to(with));
        },
        [=](auto& store, signal_slot with) {
            if (auto* const postgres = dynamic_cast<pgstate::postgres_store*>(&store))
                postgres->pool().with_connection([](pqxx::connection&) {}, to(with));
        },
        [=](auto& store, signal_slot with) { store.close(to(with)); },
    };
}

} // namespace

TEST_CASE("a signal may be used after the operation's store and event loop have ended",
          "[contract][cancel]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    const int steps = GENERATE(0, 1, 3); // of the event loop, before it is destroyed
    CAPTURE(steps);
    const auto starts = every_start();
    std::deque<asio::cancellation_signal> signals(starts.size());
    {
        std::optional<asio::io_context> context(std::in_place);
        auto opened = open_store(kind, *context);
        run(*context, [&]() -> asio::awaitable<void> { co_await opened.store->save(agent_state("a", "s")); });
        context->restart();
        for (std::size_t i = 0; i < starts.size(); ++i)
            starts[i](*opened.store, signals[i].slot());
        for (int i = 0; i < steps; ++i)
            context->run_one_for(100ms);
        opened.store.reset();
        context.reset();
    }
    for (auto& each : signals)
        each.emit(asio::cancellation_type::terminal);
}

TEST_CASE("a signal may be used after an update's pause has ended with its event loop",
          "[contract][cancel]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    asio::cancellation_signal signal;
    int calls = 0;
    {
        std::optional<asio::io_context> context(std::in_place);
        auto opened = open_store(kind, *context);
        run(*context, [&]() -> asio::awaitable<void> { co_await opened.store->save(agent_state("a", "s")); });
        // Each time another writer is first: its pauses grow.
        auto change = [&](agent_state& loaded) {
            ++calls;
            opened.store->save(agent_state("a", "s"), [](auto&&...) {});
            loaded.data["x"] = calls;
        };
        pgstate::update_options options;
        options.max_retries = 1000;
        opened.store->update("a", "s", change, options,
                             asio::bind_cancellation_slot(signal.slot(), [](auto&&...) {}));
        run_until(*context, [&] { return calls == 8; });
        opened.store.reset();
        context.reset();
    }
    signal.emit(asio::cancellation_type::terminal);
}

TEST_CASE("a signal may be used after an open has ended with its event loop", "[contract][cancel]") {
    asio::cancellation_signal signal;
    {
        asio::io_context context;
        pgstate::config settings;
        settings.connection_string = "postgresql://192.0.2.1/none";
        pgstate::postgres_store::open(context.get_executor(), settings,
                                      asio::bind_cancellation_slot(signal.slot(), [](auto&&...) {}));
        context.run_one_for(10ms);
    }
    signal.emit(asio::cancellation_type::terminal);
}
