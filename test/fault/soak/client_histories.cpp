// The clients' saves that are based on a load, and keep its history.

#include "fault/soak/client_calls.hpp"

#include <boost/asio/as_tuple.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace pgstate_test {
namespace {

pgstate::history_window any_window(std::mt19937_64& random, std::size_t messages) {
    const auto number = random() % (messages + 1);
    switch (random() % 4) {
    case 0: return pgstate::history_window::none;
    case 1: return pgstate::history_window::last(1 + random() % 5);
    case 2: return pgstate::history_window::after(number);
    default: return pgstate::history_window::before(messages, 1 + random() % 5);
    }
}

bool is_part_of(const pgstate::agent_state& part, const pgstate::agent_state& whole) {
    if (part.history_offset + part.history.size() > whole.history.size()) return false;
    return std::ranges::equal(
        part.history, std::vector(whole.history.begin() + static_cast<std::ptrdiff_t>(part.history_offset),
                                  whole.history.begin() + static_cast<std::ptrdiff_t>(part.history_offset +
                                                                                      part.history.size())));
}

} // namespace

asio::awaitable<void> epoch::add_to_history(std::string key, caller& by) {
    const auto whole = co_await load(key, by);
    if (!whole) co_return;
    auto state = *whole;
    const bool in_part = by.random() % 2 == 0;
    auto loaded_completed = soak_clock::now();
    if (in_part) {
        const call under_way(*this, by);
        const pgstate::load_options options{.history = any_window(by.random, whole->history.size())};
        const auto r = co_await store_.load(soak_agent, key, under_way.with(options), under_way.token());
        count(under_way, r);
        if (r.has_error() || !*r || (*r)->version != whole->version) co_return;
        loaded_completed = soak_clock::now();
        state = **r;
        if (!is_part_of(state, *whole)) {
            violations.push_back({history::violation::sort::phantom,
                                  "key " + key + ": a part of version " + std::to_string(state.version) +
                                      " is not what the whole has",
                                  key});
            co_return;
        }
        // So that others come between now and then, or mostly do not.
        asio::steady_timer pause(context_, std::chrono::microseconds(by.random() % 4'000));
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    auto what = begun(kind::save, key, by);
    std::vector<history::write_id> messages;
    for (const auto& each : whole->history)
        messages.push_back(std::stoull(each.content));
    if (messages.size() > 100 && !in_part) {
        messages.clear();
        state.history.clear();
    }
    const bool is_part = state.history.size() < messages.size();
    // A window that reaches to the end may grow there.
    const bool to_the_end = state.history_offset + state.history.size() == messages.size();
    if (to_the_end && by.random() % 4 != 0) {
        messages.push_back(what.id);
        state.history.emplace_back("user", std::to_string(what.id));
    }
    state.data.clear();
    state.data["saved"] = what.id;
    state.data["kept"] = messages.size();
    kept.add(what.id, std::move(messages));
    const pgstate::save_options options{.if_unchanged = by.random() % 2 == 0};
    if (options.if_unchanged) what.expected = state.version;

    const call under_way(*this, by);
    const auto r = co_await store_.save(state, under_way.with(options), under_way.token());
    if (r.has_value() && is_part) {
        ++parts_saved;
        kept.add(kept_histories::part{.key = key,
                                      .id = what.id,
                                      .loaded = whole->version,
                                      .loaded_completed = loaded_completed,
                                      .version = r->version});
    }
    finish_one(std::move(what), under_way, r);
}

} // namespace pgstate_test
