// A few sessions that all clients, with two stores, append to, save, restore, fork, prune and erase. What is in such a session in the end nobody
// knows; but no version of it has a message twice, and none is ever another one than it was.

#include "fault/soak/client_calls.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

namespace pgstate_test {

pgstate::postgres_store& epoch::either_store(caller& by) {
    return by.random() % 2 == 0 ? store_ : *others_;
}

void epoch::note_version(const std::string& key, std::int64_t version, const pgstate::agent_state& state) {
    std::vector<std::string> texts;
    for (const auto& each : state.history)
        texts.push_back(each.content);
    if (std::set(texts.begin(), texts.end()).size() != texts.size())
        problems.push_back("key " + key + ": version " + std::to_string(version) + " has a message twice");
    const auto [at, first] = shared_versions_.emplace(version, texts);
    if (!first && at->second != texts)
        problems.push_back("key " + key + ": version " + std::to_string(version) +
                           " has other messages than before: " + std::to_string(texts.size()) + ", not " +
                           std::to_string(at->second.size()));
}

asio::awaitable<void> epoch::change_shared(caller& by) {
    const auto key = "e" + std::to_string(number_) + "-shared-" + std::to_string(by.random() % 3);
    const auto choice = by.random() % 100;
    if (choice < 20) {
        co_await append_to_shared(key, by);
    } else if (choice < 30) {
        co_await transact_shared(key, by);
    } else if (choice < 55) {
        co_await save_shared(key, by, choice < 38);
    } else if (choice < 72) {
        const call under_way(*this, by);
        const auto r = co_await either_store(by).checkpoint(
            soak_agent, key, under_way.with(pgstate::checkpoint_options{}), under_way.token());
        count(under_way, r);
    } else if (choice < 92) {
        co_await go_back(key, by);
    } else if (choice < 97) {
        const call under_way(*this, by);
        const auto r = co_await either_store(by).prune(
            soak_agent, key, under_way.with(pgstate::prune_options{.keep = by.random() % 4}),
            under_way.token());
        count(under_way, r);
    } else {
        const call under_way(*this, by);
        const auto r = co_await either_store(by).erase(
            soak_agent, key, under_way.with(pgstate::erase_options{}), under_way.token());
        count(under_way, r);
    }
}

asio::awaitable<void> epoch::append_to_shared(std::string key, caller& by) {
    pgstate::agent_message message("user", std::to_string(++last_id_));
    if (by.random() % 2 == 0) message.id = message.content;
    const call under_way(*this, by);
    const auto r = co_await either_store(by).append(soak_agent, key, std::move(message),
                                                    under_way.with(pgstate::change_options{.create = true}),
                                                    under_way.token());
    count(under_way, r);
}

/// \param anew  without a look at what is there
asio::awaitable<void> epoch::save_shared(std::string key, caller& by, bool anew) {
    pgstate::agent_state state(soak_agent, key);
    if (!anew) {
        const std::array windows{pgstate::history_window::all, pgstate::history_window::last(2)};
        const call under_way(*this, by);
        const pgstate::load_options options{.history = windows.at(by.random() % windows.size())};
        const auto r =
            co_await either_store(by).load(soak_agent, key, under_way.with(options), under_way.token());
        count(under_way, r);
        if (r.has_error() || !*r) co_return;
        state = **r;
        if (options.history == pgstate::history_window::all) note_version(key, state.version, state);
        if (state.history.size() > 60) state.history.clear();
    }
    if (state.history_offset + state.history.size() > 60) co_return;
    for (auto number = by.random() % 3; number > 0; --number)
        state.history.emplace_back("user", std::to_string(++last_id_));
    const call under_way(*this, by);
    const pgstate::save_options options{.if_unchanged = !anew && by.random() % 3 == 0};
    const auto r = co_await either_store(by).save(state, under_way.with(options), under_way.token());
    count(under_way, r);
}

asio::awaitable<void> epoch::transact_shared(std::string key, caller& by) {
    auto work = [key, text = std::to_string(++last_id_), random = by.random()](pgstate::transaction& t) {
        auto state = t.load(soak_agent, key);
        if (!state || state->history.size() > 60) state.emplace(soak_agent, key);
        state->history.emplace_back("user", text);
        t.save(*state, {.if_unchanged = random % 2 == 0 && state->version != 0});
    };
    const call under_way(*this, by);
    const auto r = co_await either_store(by).transaction(
        std::move(work), under_way.with(pgstate::transaction_options{}), under_way.token());
    count(under_way, r);
}

/// Loads, restores or forks what one of the checkpoints kept, if it is still there.
asio::awaitable<void> epoch::go_back(std::string key, caller& by) {
    std::int64_t version = 0;
    {
        const call under_way(*this, by);
        const auto r = co_await either_store(by).checkpoints(
            soak_agent, key, under_way.with(pgstate::list_options{}), under_way.token());
        count(under_way, r);
        if (r.has_error() || r->empty()) co_return;
        version = r->checkpoints.at(by.random() % r->size()).version;
    }
    const auto choice = by.random() % 3;
    if (choice == 0) {
        const call under_way(*this, by);
        const auto r = co_await either_store(by).load(
            soak_agent, key, under_way.with(pgstate::load_options{.at = version}), under_way.token());
        count(under_way, r);
        if (r.has_value() && *r) note_version(key, version, **r);
        co_return;
    }
    if (choice == 1) {
        const call under_way(*this, by);
        const auto r = co_await either_store(by).restore(
            soak_agent, key, version, under_way.with(pgstate::restore_options{}), under_way.token());
        count(under_way, r);
        co_return;
    }
    const auto session = key + "-fork-" + std::to_string(++last_id_);
    {
        const call under_way(*this, by);
        const auto r = co_await either_store(by).fork(soak_agent, key, session,
                                                      under_way.with(pgstate::fork_options{.at = version}),
                                                      under_way.token());
        count(under_way, r);
        if (r.has_error()) co_return;
    }
    const call under_way(*this, by);
    const auto r = co_await either_store(by).load(soak_agent, session,
                                                  under_way.with(pgstate::load_options{}), under_way.token());
    count(under_way, r);
    if (r.has_error()) co_return;
    if (*r)
        note_version(key, version, **r);
    else
        problems.push_back("the fork " + session + " was acknowledged and lost");
}

} // namespace pgstate_test
