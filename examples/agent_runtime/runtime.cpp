#include "runtime.hpp"

#include "verify.hpp"
#include "workers.hpp"
#include <pgstate/error.hpp>
#include <pgstate/result.hpp>

#include <boost/asio/steady_timer.hpp>

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>
#include <string>

namespace demo {
namespace {

/// Turns of the session so far, of which `state` may have the last ones alone.
std::size_t turns_of(const pgstate::agent_state& state) {
    return state.history_offset + state.history.size();
}

/// Everything that a turn changes in a state.
void take_turn(pgstate::agent_state& state, const transcript& script) {
    const turn& next = script.turns[turns_of(state)];
    const auto now =
        std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
    pgstate::agent_message& message = state.history.emplace_back(next.role, next.content, now);
    message.metadata = next.metadata;

    const std::size_t turns = turns_of(state);
    state.data["turn"] = turns;
    state.data["transcript"] = script.index;
    state.data["checksum"] = script.checksums[turns];
    state.context["title"] = script.title;
    state.context["language"] = script.language;
    state.context["waiting_for"] = next.role == "assistant" ? "user" : "assistant";
}

void check_history(session_id id, const pgstate::agent_state& state, const transcript& script) {
    bool same = turns_of(state) <= script.turns.size();
    for (std::size_t i = 0; same && i < state.history.size(); ++i)
        same = is_turn(state.history[i], script.turns[state.history_offset + i]);
    if (!same)
        throw std::runtime_error(id.agent_key() + "/" + id.session_key() +
                                 " holds something other than its transcript; begin anew with --reset");
}

/// The save may have been applied, or something else was: the state in the store decides how to go on.
bool is_settled_by_loading(const pgstate::error& e) {
    return e == pgstate::errc::conflict || e == pgstate::errc::outcome_unknown ||
           e == pgstate::errc::timed_out;
}

} // namespace

boost::asio::awaitable<void> runtime::run(const std::vector<session_id>& sessions) {
    auto session = [&](std::size_t i) -> boost::asio::awaitable<void> {
        try {
            co_await play(sessions[i]);
        } catch (...) {
            stop(); // nothing to be gained by going on with the others
            throw;
        }
    };
    co_await run_all(sessions.size(), session);
}

boost::asio::awaitable<void> runtime::play(session_id id) {
    pgstate::load_options loading;
    if (settings_.window > 0) loading.history = pgstate::history_window::last(settings_.window);
    for (bool again = false; !stopping_; again = true) {
        const auto begin = latencies::clock::now();
        auto found = co_await store_.load(id.agent_key(), id.session_key(), loading);
        meter_.loads.add(begin);

        pgstate::agent_state state(id.agent_key(), id.session_key());
        if (found) state = std::move(*found);
        check_history(id, state, scripts_.of(id));
        // Turns that were saved, but whose acknowledgement a crash or a lost connection cut off: they are there, and
        // not taken again.
        const std::size_t added = acks_.acknowledge(id, scripts_.of(id), turns_of(state));
        if (again) meter_.acknowledged += added;

        if (co_await take_turns(id, state)) co_return;
        ++meter_.reloads;
    }
}

/// \returns false if the state must be loaded again: its save was refused or its outcome is not known
boost::asio::awaitable<bool> runtime::take_turns(session_id id, pgstate::agent_state& state) {
    const transcript& script = scripts_.of(id);
    std::minstd_rand random(id.agent * 1009 + id.session + 1);
    while (turns_of(state) < script.turns.size()) {
        co_await think(random);
        if (stopping_) break;
        take_turn(state, script);

        ++meter_.in_flight;
        const auto begin = latencies::clock::now();
        // if_unchanged: a save that a killed process left on its way must not overwrite what this one saved.
        const auto done = co_await store_.save(state, {.if_unchanged = true}, pgstate::as_result);
        meter_.saves.add(begin);
        --meter_.in_flight;

        if (!done && is_settled_by_loading(done.error())) co_return false;
        done.value().apply_to(state); // throws any other error
        acknowledge(id, turns_of(state));
    }
    co_return true;
}

/// Stands in for the model, whose answer takes its time.
boost::asio::awaitable<void> runtime::think(std::minstd_rand& random) const {
    if (settings_.pace.count() == 0) co_return;
    const auto average = std::chrono::duration<double, std::milli>(settings_.pace);
    const auto time = average * std::uniform_real_distribution(0.5, 1.5)(random);
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    timer.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(time));
    co_await timer.async_wait(boost::asio::use_awaitable);
}

void runtime::acknowledge(session_id id, std::size_t turns) {
    acks_.acknowledge(id, scripts_.of(id), turns);
    if (++meter_.acknowledged < settings_.kill_after || settings_.kill_after == 0) return;
    char text[128];
    const int length =
        std::snprintf(text, sizeof text, "\nSIGKILL: %zu turns acknowledged, %zu saves in flight\n",
                      meter_.acknowledged.load(), meter_.in_flight.load());
    if (::write(STDERR_FILENO, text, static_cast<std::size_t>(length)) >= 0) ::kill(::getpid(), SIGKILL);
}

} // namespace demo
