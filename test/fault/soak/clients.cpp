#include "fault/soak/client_calls.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <charconv>
#include <exception>
#include <iterator>
#include <memory>
#include <random>
#include <utility>

namespace pgstate_test {

using namespace std::chrono_literals;
using pgstate::agent_state;

namespace {

constexpr std::size_t key_count = 24;
constexpr std::size_t foreign_key_count = 6;

agent_state document(const history::write& what) {
    agent_state state(soak_agent, what.key);
    state.data["saved"] = what.id;
    return state;
}

} // namespace

epoch::epoch(pgstate::postgres_store& store, asio::io_context& context, const soak_arguments& given,
             std::uint64_t number, std::atomic<std::uint64_t>& last_id)
    : store_(store), context_(context), given_(given), number_(number), last_id_(last_id),
      due_(given.clients + given.impatient) {}

void epoch::start() {
    running = given_.clients + given_.impatient;
    for (unsigned i = 0; i < given_.clients + given_.impatient; ++i)
        asio::co_spawn(context_, client(i), [this](std::exception_ptr failure) {
            if (failure) broken = pgstate::to_error(failure).what();
            --running;
        });
}

std::size_t epoch::hung() const {
    const auto now = soak_clock::now().time_since_epoch().count();
    return static_cast<std::size_t>(std::ranges::count_if(due_, [now](const auto& each) {
        const auto at = each.load();
        return at != 0 && at < now;
    }));
}

std::vector<std::string> epoch::keys() const {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < key_count; ++i)
        all.push_back("e" + std::to_string(number_) + "-" + std::to_string(i));
    return all;
}

std::vector<std::string> epoch::foreign_keys() const {
    auto some = keys();
    some.resize(given_.foreign_writers > 0 ? foreign_key_count : 0);
    return some;
}

void epoch::note_load(const std::string& key, const std::optional<agent_state>& state,
                      soak_clock::time_point invoked) {
    history::observation seen;
    seen.key = key;
    seen.missing = !state;
    seen.invoked = invoked;
    seen.completed = soak_clock::now();
    std::size_t kept_messages = 0;
    if (state) {
        seen.version = state->version;
        for (const auto& [name, value] : state->data) {
            if (name == "saved") {
                seen.saved = value.to_number<std::uint64_t>();
                continue;
            }
            if (name == "kept") {
                kept_messages = value.to_number<std::size_t>();
                continue;
            }
            history::client_id client = 0;
            std::from_chars(name.data() + 1, name.data() + name.size(), client);
            if (name.front() == 'n')
                seen.counters[client] = value.to_number<std::int64_t>();
            else
                seen.merged[client] = value.to_number<std::uint64_t>();
        }
        for (const auto& each : state->history)
            seen.appended.push_back(std::stoull(each.content));
    }
    if (auto wrong = kept.take(seen, kept_messages)) violations.push_back(*std::move(wrong));
    past.add(std::move(seen));
}

history::write epoch::begun(kind what, const std::string& key, const caller& by) {
    history::write made;
    made.what = what;
    made.key = key;
    made.id = ++last_id_;
    made.client = by.id;
    return made;
}

asio::awaitable<void> epoch::client(unsigned id) {
    caller self(context_, given_, number_, id);
    auto& random = self.random;
    const auto all = keys();
    asio::steady_timer pause(context_);
    while (!stopping) {
        const auto key = all[random() % all.size()];
        const auto choice = random() % 100;
        if (given_.rows && random() % 4 == 0) {
            co_await add_to_history(key, self);
        } else if (given_.rows && random() % 6 == 0) {
            co_await change_shared(self);
        } else if (choice < 20) {
            co_await save(key, self);
        } else if (choice < 30) {
            co_await save_if_unchanged(key, self);
        } else if (choice < 48) {
            co_await load(key, self);
        } else if (choice < 60) {
            co_await append(key, self);
        } else if (choice < 72) {
            co_await increment(key, self);
        } else if (choice < 80) {
            co_await merge(key, self);
        } else if (choice < 84) {
            co_await save_all(all, self);
        } else if (choice < 87) {
            co_await transaction(all, self);
        } else if (choice < 90) {
            co_await list(self);
        } else if (choice < 90 + given_.erases) {
            co_await erase(key, self);
        } else {
            co_await touch(key, self);
        }
        pause.expires_after(std::chrono::microseconds(random() % 30'000));
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

asio::awaitable<void> epoch::save(std::string key, caller& by) {
    auto what = begun(kind::save, key, by);
    const auto state = document(what);
    const call under_way(*this, by);
    const auto r = co_await store_.save(state, under_way.with(pgstate::save_options{}), under_way.token());
    finish_one(std::move(what), under_way, r);
}

asio::awaitable<void> epoch::save_if_unchanged(std::string key, caller& by) {
    const auto loaded = co_await load(key, by);
    if (!loaded) co_return;
    auto what = begun(kind::save, key, by);
    auto state = document(what);
    state.version = what.expected = loaded->version;
    const call under_way(*this, by);
    const auto r = co_await store_.save(state, under_way.with(pgstate::save_options{.if_unchanged = true}),
                                        under_way.token());
    finish_one(std::move(what), under_way, r);
}

asio::awaitable<std::optional<agent_state>> epoch::load(std::string key, caller& by) {
    const call under_way(*this, by);
    const auto r =
        co_await store_.load(soak_agent, key, under_way.with(pgstate::load_options{}), under_way.token());
    count(under_way, r);
    if (r.has_error()) co_return std::nullopt;
    note_load(key, *r, under_way.invoked);
    co_return *r;
}

asio::awaitable<void> epoch::append(std::string key, caller& by) {
    auto what = begun(kind::append, key, by);
    std::vector<pgstate::agent_message> messages;
    messages.emplace_back("user", std::to_string(what.id));
    const call under_way(*this, by);
    const auto r = co_await store_.append(soak_agent, key, std::move(messages),
                                          under_way.with(pgstate::change_options{}), under_way.token());
    finish_one(std::move(what), under_way, r);
}

asio::awaitable<void> epoch::increment(std::string key, caller& by) {
    auto what = begun(kind::increment, key, by);
    const auto pointer = "/data/n" + std::to_string(by.id);
    const call under_way(*this, by);
    const auto r = co_await store_.increment(soak_agent, key, pointer, 1,
                                             under_way.with(pgstate::change_options{}), under_way.token());
    finish_one(std::move(what), under_way, r);
}

asio::awaitable<void> epoch::merge(std::string key, caller& by) {
    auto what = begun(kind::merge, key, by);
    pgstate::state_patch patch;
    patch.data["m" + std::to_string(by.id)] = what.id;
    const call under_way(*this, by);
    const auto r = co_await store_.merge(soak_agent, key, std::move(patch),
                                         under_way.with(pgstate::change_options{}), under_way.token());
    finish_one(std::move(what), under_way, r);
}

asio::awaitable<void> epoch::erase(std::string key, caller& by) {
    auto what = begun(kind::erase, key, by);
    const call under_way(*this, by);
    const auto r =
        co_await store_.erase(soak_agent, key, under_way.with(pgstate::erase_options{}), under_way.token());
    finish_one(std::move(what), under_way, r);
}

asio::awaitable<void> epoch::touch(std::string key, caller& by) {
    const call under_way(*this, by);
    const std::optional<std::chrono::milliseconds> ttl = 1h;
    const auto r = co_await store_.touch(soak_agent, key, ttl, under_way.with(pgstate::call_options{}),
                                         under_way.token());
    count(under_way, r);
}

asio::awaitable<void> epoch::list(caller& by) {
    const call under_way(*this, by);
    const auto r =
        co_await store_.list(soak_agent, under_way.with(pgstate::list_options{}), under_way.token());
    count(under_way, r);
}

std::vector<history::write> epoch::several(const std::vector<std::string>& all, std::size_t count,
                                           caller& by) {
    std::vector<std::string> chosen;
    std::ranges::sample(all, std::back_inserter(chosen), static_cast<std::ptrdiff_t>(count), by.random);
    std::vector<history::write> writes;
    for (const auto& key : chosen)
        writes.push_back(begun(kind::save, key, by));
    return writes;
}

asio::awaitable<void> epoch::save_all(const std::vector<std::string>& all, caller& by) {
    const auto writes = several(all, 3, by);
    pgstate::save_all_options options;
    options.atomic = by.random() % 2 == 0;
    std::vector<agent_state> states;
    for (const auto& each : writes)
        states.push_back(document(each));
    const call under_way(*this, by);
    const auto r = co_await store_.save_all(states, under_way.with(options), under_way.token());
    count(under_way, r);
    for (std::size_t i = 0; i < writes.size(); ++i)
        finish(writes[i], under_way, r.has_error() ? pgstate::result<pgstate::saved>(r.error()) : (*r)[i]);
}

asio::awaitable<void> epoch::transaction(const std::vector<std::string>& all, caller& by) {
    auto writes = several(all, 2, by);
    std::ranges::sort(writes, {}, &history::write::key); // as everybody locks them
    const auto documents = std::make_shared<std::vector<agent_state>>();
    for (const auto& each : writes)
        documents->push_back(document(each));
    auto work = [documents](pgstate::transaction& t) {
        std::vector<pgstate::saved> saved;
        for (const auto& each : *documents)
            saved.push_back(t.save(each));
        return saved;
    };
    const call under_way(*this, by);
    const auto r = co_await store_.transaction(
        std::move(work), under_way.with(pgstate::transaction_options{}), under_way.token());
    count(under_way, r);
    for (std::size_t i = 0; i < writes.size(); ++i)
        finish(writes[i], under_way,
               r.has_error() ? pgstate::result<pgstate::saved>(r.error())
                             : pgstate::result<pgstate::saved>((*r)[i]));
}

} // namespace pgstate_test
