#include "fault/soak/clients.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <charconv>
#include <exception>
#include <iterator>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

namespace pgstate_test {

using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

constexpr std::size_t key_count = 24;
constexpr std::size_t foreign_key_count = 6;

history::outcome told_by(const pgstate::error& e) {
    if (e == errc::outcome_unknown) return history::outcome::unknown;
    if (e == errc::timed_out && std::string_view(e.what()).find("was not sent") == std::string_view::npos)
        return history::outcome::unknown;
    return history::outcome::failed;
}

/// By the faults, or by what other clients do to the same keys.
bool explained(const pgstate::error& e) {
    for (const auto code : {errc::outcome_unknown, errc::unavailable, errc::timed_out, errc::pool_exhausted,
                            errc::conflict, errc::not_found})
        if (e == code) return true;
    return e.sqlstate().starts_with("57P") || e.sqlstate().starts_with("08");
}

agent_state document(const history::write& what) {
    agent_state state(soak_agent, what.key);
    state.data["saved"] = what.id;
    return state;
}

} // namespace

/// An operation under way; noted when it has completed.
class epoch::call {
public:
    call(epoch& whose, unsigned client) : whose_(whose), client_(client), invoked(soak_clock::now()) {
        whose_.begun_[client_] = invoked.time_since_epoch().count();
    }
    call(const call&) = delete;
    call& operator=(const call&) = delete;
    ~call() { whose_.begun_[client_] = 0; }

private:
    epoch& whose_;
    const unsigned client_;

public:
    const soak_clock::time_point invoked;
};

epoch::epoch(pgstate::postgres_store& store, asio::io_context& context, const soak_arguments& given,
             std::uint64_t number, std::atomic<std::uint64_t>& last_id)
    : store_(store), context_(context), given_(given), number_(number), last_id_(last_id),
      begun_(given.clients) {}

void epoch::start() {
    running = given_.clients;
    for (unsigned i = 0; i < given_.clients; ++i)
        asio::co_spawn(context_, client(i), [this](std::exception_ptr failure) {
            if (failure) broken = pgstate::to_error(failure).what();
            --running;
        });
}

std::size_t epoch::hung() const {
    const auto late = (soak_clock::now() - soak_operation_timeout - soak_grace).time_since_epoch().count();
    return static_cast<std::size_t>(std::ranges::count_if(begun_, [late](const auto& each) {
        const auto at = each.load();
        return at != 0 && at < late;
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
    if (state) {
        seen.version = state->version;
        for (const auto& [name, value] : state->data) {
            if (name == "saved") {
                seen.saved = value.to_number<std::uint64_t>();
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
    past.add(std::move(seen));
}

template <class T>
void epoch::count(const pgstate::result<T>& r) {
    if (r.has_value()) {
        ++acknowledged;
        last_success = soak_clock::now().time_since_epoch().count();
        return;
    }
    const pgstate::error e = r.error();
    ++(told_by(e) == history::outcome::unknown ? unknown : failed);
    ++errors[(explained(e) ? "" : "UNEXPECTED ") + e.operation() + ": " + e.code().message() +
             (e.sqlstate().empty() ? "" : " (" + e.sqlstate() + ")")];
}

history::write epoch::begun(kind what, const std::string& key, unsigned client) {
    history::write made;
    made.what = what;
    made.key = key;
    made.id = ++last_id_;
    made.client = client;
    return made;
}

template <class T>
void epoch::finish(history::write what, soak_clock::time_point invoked, const pgstate::result<T>& r) {
    what.invoked = invoked;
    what.completed = soak_clock::now();
    if (r.has_error()) {
        what.told = told_by(r.error());
        what.missing = r.error() == errc::not_found;
    } else {
        what.told = history::outcome::acknowledged;
        if constexpr (std::is_same_v<T, bool>)
            what.missing = !*r;
        else
            what.version = r->version;
    }
    if (what.told == history::outcome::unknown && std::ranges::count(foreign_keys(), what.key) > 0)
        ++unknown_on_foreign_keys;
    past.add(std::move(what));
}

template <class T>
void epoch::finish_one(history::write what, const call& of, const pgstate::result<T>& r) {
    count(r);
    finish(std::move(what), of.invoked, r);
}

asio::awaitable<void> epoch::client(unsigned id) {
    std::seed_seq seeds{given_.seed, number_, std::uint64_t{id}};
    random_type random(seeds);
    const auto all = keys();
    asio::steady_timer pause(context_);
    while (!stopping) {
        const auto key = all[random() % all.size()];
        const auto choice = random() % 100;
        if (choice < 20) {
            co_await save(key, id);
        } else if (choice < 30) {
            co_await save_if_unchanged(key, id);
        } else if (choice < 48) {
            co_await load(key, id);
        } else if (choice < 60) {
            co_await append(key, id);
        } else if (choice < 72) {
            co_await increment(key, id);
        } else if (choice < 80) {
            co_await merge(key, id);
        } else if (choice < 84) {
            co_await save_all(all, random, id);
        } else if (choice < 87) {
            co_await transaction(all, random, id);
        } else if (choice < 90) {
            co_await list(id);
        } else if (choice < 90 + given_.erases) {
            co_await erase(key, id);
        } else {
            co_await touch(key, id);
        }
        pause.expires_after(std::chrono::microseconds(random() % 30'000));
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

asio::awaitable<void> epoch::save(std::string key, unsigned id) {
    auto what = begun(kind::save, key, id);
    const auto state = document(what);
    const call under_way(*this, id);
    const auto r = co_await store_.save(state, as_result);
    finish_one(std::move(what), under_way, r);
}

asio::awaitable<void> epoch::save_if_unchanged(std::string key, unsigned id) {
    const auto loaded = co_await load(key, id);
    if (!loaded) co_return;
    auto what = begun(kind::save, key, id);
    auto state = document(what);
    state.version = what.expected = loaded->version;
    const call under_way(*this, id);
    const auto r = co_await store_.save(state, {.if_unchanged = true}, as_result);
    finish_one(std::move(what), under_way, r);
}

asio::awaitable<std::optional<agent_state>> epoch::load(std::string key, unsigned id) {
    const call under_way(*this, id);
    const auto r = co_await store_.load(soak_agent, key, as_result);
    count(r);
    if (r.has_error()) co_return std::nullopt;
    note_load(key, *r, under_way.invoked);
    co_return *r;
}

asio::awaitable<void> epoch::append(std::string key, unsigned id) {
    auto what = begun(kind::append, key, id);
    std::vector<pgstate::agent_message> messages;
    messages.emplace_back("user", std::to_string(what.id));
    const call under_way(*this, id);
    const auto r = co_await store_.append(soak_agent, key, std::move(messages), as_result);
    finish_one(std::move(what), under_way, r);
}

asio::awaitable<void> epoch::increment(std::string key, unsigned id) {
    auto what = begun(kind::increment, key, id);
    const auto pointer = "/data/n" + std::to_string(id);
    const call under_way(*this, id);
    const auto r = co_await store_.increment(soak_agent, key, pointer, 1, as_result);
    finish_one(std::move(what), under_way, r);
}

asio::awaitable<void> epoch::merge(std::string key, unsigned id) {
    auto what = begun(kind::merge, key, id);
    pgstate::state_patch patch;
    patch.data["m" + std::to_string(id)] = what.id;
    const call under_way(*this, id);
    const auto r = co_await store_.merge(soak_agent, key, std::move(patch), as_result);
    finish_one(std::move(what), under_way, r);
}

asio::awaitable<void> epoch::erase(std::string key, unsigned id) {
    auto what = begun(kind::erase, key, id);
    const call under_way(*this, id);
    const auto r = co_await store_.erase(soak_agent, key, as_result);
    finish_one(std::move(what), under_way, r);
}

asio::awaitable<void> epoch::touch(std::string key, unsigned id) {
    const call under_way(*this, id);
    const std::optional<std::chrono::milliseconds> ttl = 1h;
    const auto r = co_await store_.touch(soak_agent, key, ttl, as_result);
    count(r);
}

asio::awaitable<void> epoch::list(unsigned id) {
    const call under_way(*this, id);
    const auto r = co_await store_.list(soak_agent, as_result);
    count(r);
}

std::vector<history::write> epoch::several(const std::vector<std::string>& all, std::size_t count,
                                           random_type& random, unsigned id) {
    std::vector<std::string> chosen;
    std::ranges::sample(all, std::back_inserter(chosen), static_cast<std::ptrdiff_t>(count), random);
    std::vector<history::write> writes;
    for (const auto& key : chosen)
        writes.push_back(begun(kind::save, key, id));
    return writes;
}

asio::awaitable<void> epoch::save_all(const std::vector<std::string>& all, random_type& random, unsigned id) {
    const auto writes = several(all, 3, random, id);
    pgstate::save_all_options options;
    options.atomic = random() % 2 == 0;
    std::vector<agent_state> states;
    for (const auto& each : writes)
        states.push_back(document(each));
    const call under_way(*this, id);
    const auto r = co_await store_.save_all(states, options, as_result);
    count(r);
    for (std::size_t i = 0; i < writes.size(); ++i)
        finish(writes[i], under_way.invoked,
               r.has_error() ? pgstate::result<pgstate::saved>(r.error()) : (*r)[i]);
}

asio::awaitable<void> epoch::transaction(const std::vector<std::string>& all, random_type& random,
                                         unsigned id) {
    auto writes = several(all, 2, random, id);
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
    const call under_way(*this, id);
    const auto r = co_await store_.transaction(std::move(work), as_result);
    count(r);
    for (std::size_t i = 0; i < writes.size(); ++i)
        finish(writes[i], under_way.invoked,
               r.has_error() ? pgstate::result<pgstate::saved>(r.error())
                             : pgstate::result<pgstate::saved>((*r)[i]));
}

} // namespace pgstate_test
