#include "fault/soak/checkpoint_clients.hpp"

#include "fault/soak/client_calls.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <exception>
#include <iterator>
#include <ranges>
#include <utility>

namespace pgstate_test {

using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::as_result;

namespace {

constexpr unsigned checkpoint_client_count = 12;
constexpr std::size_t most_forks = 4;
constexpr std::size_t most_messages = 120;

std::vector<std::string> contents_of(const agent_state& state) {
    std::vector<std::string> all;
    for (const auto& each : state.history)
        all.push_back(each.content);
    return all;
}

/// A message whose text begins with 'i' has it as its id.
agent_message message_of(const std::string& text) {
    agent_message made("user", text);
    if (text.front() == 'i') made.id = text;
    return made;
}

bool is_window_of(const agent_state& part, const std::vector<std::string>& whole) {
    const auto offset = part.history_offset;
    if (offset + part.history.size() > whole.size()) return false;
    return std::ranges::equal(
        contents_of(part),
        std::vector(whole.begin() + static_cast<std::ptrdiff_t>(offset),
                    whole.begin() + static_cast<std::ptrdiff_t>(offset + part.history.size())));
}

} // namespace

struct checkpoint_clients::client {
    std::string key;
    std::mt19937_64 random;
    contents known{};
    std::int64_t version = 0; ///< of the state
    std::size_t made = 0;     ///< messages and forks so far
    std::vector<std::pair<std::string, messages>> forks{};
    std::atomic<soak_clock::rep> due{0}; ///< when the operation under way has hung; 0: none is

    std::string new_message() {
        return (random() % 3 == 0 ? "i" : "m") + std::to_string(++made) + " of " + key;
    }
    /// One of the versions that are kept; there is one.
    const std::pair<const std::int64_t, messages>& any_kept() {
        return *std::next(known.kept.begin(), static_cast<std::ptrdiff_t>(random() % known.kept.size()));
    }
};

/// An operation under way.
class checkpoint_clients::call {
public:
    explicit call(client& of) : of_(of) {
        of_.due = (soak_clock::now() + soak_operation_timeout + soak_grace).time_since_epoch().count();
    }
    call(const call&) = delete;
    call& operator=(const call&) = delete;
    ~call() { of_.due = 0; }

private:
    client& of_;
};

checkpoint_clients::checkpoint_clients(pgstate::postgres_store& store, asio::io_context& context,
                                       std::uint64_t seed, std::uint64_t epoch_number)
    : store_(store), context_(context) {
    for (unsigned i = 0; i < checkpoint_client_count; ++i) {
        auto& made = *clients_.emplace_back(std::make_unique<client>());
        made.key = "e" + std::to_string(epoch_number) + "-own-" + std::to_string(i);
        std::seed_seq seeds{seed, epoch_number, std::uint64_t{i}, std::uint64_t{39}};
        made.random.seed(seeds);
    }
}

checkpoint_clients::~checkpoint_clients() = default;

void checkpoint_clients::start() {
    running = checkpoint_client_count;
    for (auto& each : clients_)
        asio::co_spawn(context_, work(*each), [this, &client = *each](std::exception_ptr failure) {
            if (failure) wrong(client, std::string("ended: ") + pgstate::to_error(failure).what());
            --running;
        });
}

std::size_t checkpoint_clients::hung() const {
    const auto now = soak_clock::now().time_since_epoch().count();
    return static_cast<std::size_t>(std::ranges::count_if(clients_, [now](const auto& each) {
        const auto at = each->due.load();
        return at != 0 && at < now;
    }));
}

void checkpoint_clients::wrong(const client& of, const std::string& what) {
    problems.push_back("session " + of.key + ": " + what);
}

/// True: it was acknowledged.
template <class T>
bool checkpoint_clients::answered(const client& of, const char* what, const pgstate::result<T>& r) {
    if (r.has_value()) {
        ++acknowledged[what];
        return true;
    }
    const pgstate::error e = r.error();
    ++(told_by(e) == history::outcome::unknown ? unknown : failed);
    ++errors[error_name(e)];
    if (e == pgstate::errc::conflict || e == pgstate::errc::not_found || e == pgstate::errc::corrupt_state)
        wrong(of, std::string(what) + ": " + e.what() + ", although nobody else writes it");
    return false;
}

asio::awaitable<void> checkpoint_clients::work(client& self) {
    asio::steady_timer pause(context_);
    while (!stopping) {
        const auto choice = self.random() % 100;
        if (!self.known.now || choice < 6) {
            co_await save(self);
        } else if (choice < 26) {
            co_await append(self);
        } else if (choice < 46) {
            co_await add(self);
        } else if (choice < 60) {
            co_await checkpoint(self);
        } else if (choice < 66) {
            co_await load_at(self);
        } else if (choice < 78) {
            co_await restore(self);
        } else if (choice < 86) {
            co_await fork(self);
        } else if (choice < 92) {
            co_await append_to_fork(self);
        } else if (choice < 97) {
            co_await prune(self);
        } else {
            co_await erase(self);
        }
        pause.expires_after(std::chrono::microseconds(self.random() % 30'000));
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

// What follows is by the same store: it comes after the write, or the write does nothing any more.
asio::awaitable<std::optional<agent_state>> checkpoint_clients::load_for_certain(client& self,
                                                                                 std::string session) {
    asio::steady_timer pause(context_);
    for (;;) {
        {
            const call under_way(self);
            const auto r = co_await store_.load(soak_agent, session, as_result(asio::use_awaitable));
            if (answered(self, "load", r)) co_return *r;
        }
        pause.expires_after(std::chrono::milliseconds(10));
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

asio::awaitable<pgstate::checkpoint_page> checkpoint_clients::list_for_certain(client& self) {
    asio::steady_timer pause(context_);
    for (;;) {
        {
            const call under_way(self);
            pgstate::list_options options;
            options.limit = 1'000;
            const auto r = co_await store_.checkpoints(soak_agent, self.key, std::move(options),
                                                       as_result(asio::use_awaitable));
            if (answered(self, "checkpoints", r)) co_return *r;
        }
        pause.expires_after(std::chrono::milliseconds(10));
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

template <class T>
asio::awaitable<void> checkpoint_clients::settle(client& self, const char* what, const pgstate::result<T>& r,
                                                 contents after) {
    if (answered(self, what, r)) {
        self.known = std::move(after);
        co_return;
    }
    if (told_by(r.error()) == history::outcome::failed) co_return;
    const auto state = co_await load_for_certain(self, self.key);
    const auto listed = co_await list_for_certain(self);
    const auto is = [&](const contents& each) {
        if (each.now.has_value() != state.has_value()) return false;
        if (state && contents_of(*state) != *each.now) return false;
        return std::ranges::equal(listed.checkpoints, std::views::reverse(each.kept),
                                  [](const pgstate::checkpoint_info& info, const auto& kept) {
                                      return info.version == kept.first &&
                                             info.messages == static_cast<std::int64_t>(kept.second.size());
                                  });
    };
    self.version = state ? state->version : 0;
    if (is(after)) {
        self.known = std::move(after);
    } else if (!is(self.known)) {
        wrong(self, std::string("after a ") + what +
                        " of unknown outcome there are neither the history and checkpoints of before nor "
                        "those of after it: " +
                        std::to_string(state ? state->history.size() : 0) + " messages, " +
                        std::to_string(listed.size()) + " checkpoints");
        // From here on with what is there.
        self.known.now = state ? std::optional(contents_of(*state)) : std::nullopt;
        std::map<std::int64_t, messages> there;
        for (const auto& each : listed)
            if (self.known.kept.contains(each.version))
                there.emplace(each.version, self.known.kept.at(each.version));
        self.known.kept = std::move(there);
    }
}

asio::awaitable<void> checkpoint_clients::save(client& self) {
    agent_state state(soak_agent, self.key);
    contents after = self.known;
    after.now.emplace();
    for (auto count = self.random() % 6; count > 0; --count) {
        after.now->push_back(self.new_message());
        state.history.push_back(message_of(after.now->back()));
    }
    const call under_way(self);
    const auto r = co_await store_.save(state, as_result(asio::use_awaitable));
    if (r.has_value()) self.version = r->version;
    co_await settle(self, "save", r, std::move(after));
}

asio::awaitable<void> checkpoint_clients::append(client& self) {
    if (self.known.now->size() > most_messages) co_return co_await save(self);
    auto after = self.known;
    std::vector<agent_message> sent;
    // One that is there already, by its id.
    const auto with_id = std::ranges::find_if(*self.known.now, [](auto& each) { return each[0] == 'i'; });
    if (with_id != self.known.now->end() && self.random() % 3 == 0) sent.push_back(message_of(*with_id));
    for (auto count = self.random() % 3 + (sent.empty() ? 1 : 0); count > 0; --count) {
        after.now->push_back(self.new_message());
        sent.push_back(message_of(after.now->back()));
    }
    const bool changes = after.now->size() > self.known.now->size();
    const call under_way(self);
    const auto r =
        co_await store_.append(soak_agent, self.key, std::move(sent), as_result(asio::use_awaitable));
    if (r.has_value() && r->applied != changes)
        wrong(self, "an append says the contrary of whether it was applied");
    if (r.has_value()) self.version = r->version;
    co_await settle(self, "append", r, std::move(after));
}

asio::awaitable<void> checkpoint_clients::add(client& self) {
    if (self.known.now->size() > most_messages) co_return co_await save(self);
    pgstate::load_options options;
    const auto stored = self.known.now->size();
    const std::array windows{pgstate::history_window::all, pgstate::history_window::none,
                             pgstate::history_window::last(1 + self.random() % 6),
                             pgstate::history_window::after(self.random() % (stored + 1)),
                             pgstate::history_window::before(self.random() % (stored + 1), 3)};
    options.history = windows.at(self.random() % windows.size());
    std::optional<agent_state> state;
    {
        const call under_way(self);
        const auto r = co_await store_.load(soak_agent, self.key, options, as_result(asio::use_awaitable));
        if (!answered(self, "load of a window", r)) co_return;
        state = *r;
    }
    if (!state || !is_window_of(*state, *self.known.now))
        co_return wrong(self, "a window has other messages");
    if (state->version != self.version)
        wrong(self, "version " + std::to_string(state->version) + " was loaded, not " +
                        std::to_string(self.version));
    auto after = self.known;
    const bool to_the_end = state->history_offset + state->history.size() == stored;
    for (auto count = to_the_end ? self.random() % 3 : 0; count > 0; --count) {
        after.now->push_back(self.new_message());
        state->history.push_back(message_of(after.now->back()));
    }
    const call under_way(self);
    const auto r = co_await store_.save(*state, {.if_unchanged = self.random() % 2 == 0},
                                        as_result(asio::use_awaitable));
    if (r.has_value()) self.version = r->version;
    co_await settle(self, "save that adds", r, std::move(after));
}

asio::awaitable<void> checkpoint_clients::checkpoint(client& self) {
    auto after = self.known;
    after.kept[self.version] = *after.now;
    const call under_way(self);
    const auto r = co_await store_.checkpoint(soak_agent, self.key, as_result(asio::use_awaitable));
    if (r.has_value() &&
        (r->version != self.version || r->messages != static_cast<std::int64_t>(self.known.now->size())))
        wrong(self, "a checkpoint has another version, or other messages");
    co_await settle(self, "checkpoint", r, std::move(after));
}

asio::awaitable<void> checkpoint_clients::load_at(client& self) {
    if (self.known.kept.empty()) co_return;
    const auto& [version, kept] = self.any_kept();
    const call under_way(self);
    const auto r =
        co_await store_.load(soak_agent, self.key, {.at = version}, as_result(asio::use_awaitable));
    if (answered(self, "load of a checkpoint", r) && (!*r || contents_of(**r) != kept))
        wrong(self, "version " + std::to_string(version) + " has other messages than it had");
}

asio::awaitable<void> checkpoint_clients::restore(client& self) {
    if (self.known.kept.empty()) co_return;
    const auto& [version, kept] = self.any_kept();
    auto after = self.known;
    after.now = kept;
    const call under_way(self);
    const auto r = co_await store_.restore(soak_agent, self.key, version, as_result(asio::use_awaitable));
    if (r.has_value()) self.version = r->version;
    co_await settle(self, "restore", r, std::move(after));
}

asio::awaitable<void> checkpoint_clients::fork(client& self) {
    if (self.forks.size() >= most_forks) {
        const auto session = self.forks.front().first;
        const call under_way(self);
        const auto r = co_await store_.erase(soak_agent, session, as_result(asio::use_awaitable));
        if (answered(self, "erase of a fork", r) && !*r) wrong(self, "the fork " + session + " is gone");
        if (r.has_value() || told_by(r.error()) == history::outcome::unknown)
            self.forks.erase(self.forks.begin());
        co_return;
    }
    pgstate::fork_options options;
    auto copied = *self.known.now;
    if (!self.known.kept.empty() && self.random() % 2 == 0) {
        const auto& [version, kept] = self.any_kept();
        options.at = version;
        copied = kept;
    }
    const auto session = self.key + "-fork-" + std::to_string(++self.made);
    const call under_way(self);
    const auto r =
        co_await store_.fork(soak_agent, self.key, session, options, as_result(asio::use_awaitable));
    const bool made = answered(self, "fork", r);
    if (!made && told_by(r.error()) == history::outcome::failed) co_return;
    const auto loaded = co_await load_for_certain(self, session);
    if (!loaded) {
        if (made) wrong(self, "the fork " + session + " was acknowledged and lost");
        co_return;
    }
    if (contents_of(*loaded) != copied)
        wrong(self, "the fork " + session + " is no copy of what was there");
    else
        self.forks.emplace_back(session, std::move(copied));
}

asio::awaitable<void> checkpoint_clients::append_to_fork(client& self) {
    if (self.forks.empty()) co_return;
    auto& [session, known] = self.forks[self.random() % self.forks.size()];
    auto after = known;
    after.push_back(self.new_message());
    const call under_way(self);
    const auto r =
        co_await store_.append(soak_agent, session, message_of(after.back()), as_result(asio::use_awaitable));
    const bool made = answered(self, "append to a fork", r);
    if (!made && told_by(r.error()) == history::outcome::failed) co_return;
    const auto loaded = co_await load_for_certain(self, session);
    const auto there = loaded ? contents_of(*loaded) : messages();
    if (there != after && (made || there != known))
        wrong(self, "the fork " + session + " has other messages than it has to have");
    known = there;
}

asio::awaitable<void> checkpoint_clients::prune(client& self) {
    const auto keep = self.random() % 4;
    auto after = self.known;
    while (after.kept.size() > keep)
        after.kept.erase(after.kept.begin());
    const call under_way(self);
    const auto r =
        co_await store_.prune(soak_agent, self.key, {.keep = keep}, as_result(asio::use_awaitable));
    co_await settle(self, "prune", r, std::move(after));
}

asio::awaitable<void> checkpoint_clients::erase(client& self) {
    const call under_way(self);
    const auto r = co_await store_.erase(soak_agent, self.key, as_result(asio::use_awaitable));
    if (r.has_value() && !*r) wrong(self, "it was gone when it was erased");
    co_await settle(self, "erase", r, contents{});
}

void checkpoint_clients::read_back(pgstate::postgres_store& direct) {
    for (const auto& each : clients_) {
        const auto load = [&](const std::string& session, pgstate::load_options options) {
            const auto state = direct.load(soak_agent, session, options, asio::use_future).get();
            return state ? std::optional(contents_of(*state)) : std::nullopt;
        };
        if (load(each->key, {}) != each->known.now) wrong(*each, "at the end it has other messages");
        for (const auto& [version, kept] : each->known.kept)
            if (load(each->key, {.at = version}) != kept)
                wrong(*each, "at the end version " + std::to_string(version) + " has other messages");
        for (const auto& [session, known] : each->forks)
            if (load(session, {}) != known)
                wrong(*each, "at the end the fork " + session + " has other messages");
    }
}

} // namespace pgstate_test
