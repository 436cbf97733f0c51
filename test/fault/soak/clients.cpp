#include "fault/soak/clients.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <charconv>
#include <exception>
#include <iterator>
#include <memory>
#include <random>
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

/// The reasons of a time-out that say that nothing was or will be applied.
constexpr std::string_view definite_time_outs[] = {
    "was not sent", "was not applied", "before the server answered it", "while the server was at work on it",
    "no connection became ready"};

/// By the faults, or by what other clients do to the same keys.
bool explained(const pgstate::error& e) {
    for (const auto code : {errc::outcome_unknown, errc::unavailable, errc::timed_out, errc::pool_exhausted,
                            errc::conflict, errc::not_found})
        if (e == code) return true;
    return e == asio::error::operation_aborted || e.sqlstate().starts_with("57P") ||
           e.sqlstate().starts_with("08");
}

/// What the error says, without what is different each time.
std::string why_unknown(const pgstate::error& e) {
    std::string_view what = e.what();
    constexpr std::string_view reason = "it may have been applied, and ";
    const auto at = what.find(reason);
    what.remove_prefix(at != what.npos ? at + reason.size() : what.rfind(": ") + 2);
    return std::string(what.substr(0, what.find_first_of(";:")));
}

agent_state document(const history::write& what) {
    agent_state state(soak_agent, what.key);
    state.data["saved"] = what.id;
    return state;
}

} // namespace

/// A client, and what its operations are given.
struct epoch::caller {
    caller(asio::io_context& context, const soak_arguments& given, std::uint64_t epoch_number,
           unsigned number)
        : id(number), impatient(number >= given.clients), gives_up(context) {
        std::seed_seq seeds{given.seed, epoch_number, std::uint64_t{number}};
        random.seed(seeds);
    }

    const unsigned id;
    const bool impatient;
    std::mt19937_64 random;

    /// Of a client that is impatient; shared, as a timer that has fired outlives the operation.
    struct cancellation {
        asio::cancellation_signal signal;
        asio::cancellation_type emitted = asio::cancellation_type::none; ///< during the operation under way
    };
    const std::shared_ptr<cancellation> cancelled = std::make_shared<cancellation>();
    asio::steady_timer gives_up;
};

/// An operation under way; noted when it has completed.
class epoch::call {
public:
    call(epoch& whose, caller& by) : whose_(whose), by_(by), invoked(soak_clock::now()) {
        by_.cancelled->emitted = asio::cancellation_type::none;
        if (by_.impatient) {
            timeout_ = std::chrono::milliseconds(20 + by_.random() % 181);
            if (by_.random() % 2 == 0) cancel_later();
        }
        const auto due = invoked + (by_.impatient ? timeout_ : soak_operation_timeout) + soak_grace;
        whose_.due_[by_.id] = due.time_since_epoch().count();
    }
    call(const call&) = delete;
    call& operator=(const call&) = delete;
    ~call() {
        by_.gives_up.cancel();
        whose_.due_[by_.id] = 0;
    }

    template <class Options>
    Options with(Options options) const {
        options.timeout = timeout_;
        return options;
    }
    auto token() const {
        return as_result(asio::bind_cancellation_slot(by_.cancelled->signal.slot(), asio::use_awaitable));
    }

    history::outcome told_by(const pgstate::error& e) const {
        using enum history::outcome;
        if (e == errc::outcome_unknown) return unknown;
        if (e == asio::error::operation_aborted) {
            // Of asio's types, total alone promises that there is no side effect.
            return by_.cancelled->emitted == asio::cancellation_type::total ? failed : unknown;
        }
        const auto says = [what = std::string_view(e.what())](std::string_view reason) {
            return what.find(reason) != what.npos;
        };
        return e == errc::timed_out && std::ranges::none_of(definite_time_outs, says) ? unknown : failed;
    }

private:
    /// Soon, mostly: most operations take a few milliseconds.
    void cancel_later() {
        using asio::cancellation_type;
        constexpr cancellation_type types[] = {cancellation_type::terminal, cancellation_type::partial,
                                               cancellation_type::total};
        const auto longest = std::uint64_t{1'000} << by_.random() % 8;
        by_.gives_up.expires_after(std::chrono::microseconds(by_.random() % longest));
        by_.gives_up.async_wait([what = by_.cancelled, type = types[by_.random() % 3]](auto stopped) {
            if (stopped) return;
            what->emitted |= type;
            what->signal.emit(type);
        });
    }

    epoch& whose_;
    caller& by_;
    std::chrono::milliseconds timeout_{0}; ///< 0: the store's own

public:
    const soak_clock::time_point invoked;
};

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
void epoch::count(const call& of, const pgstate::result<T>& r) {
    if (r.has_value()) {
        ++acknowledged;
        last_success = soak_clock::now().time_since_epoch().count();
        return;
    }
    const pgstate::error e = r.error();
    ++(of.told_by(e) == history::outcome::unknown ? unknown : failed);
    ++errors[(explained(e) ? "" : "UNEXPECTED ") + e.operation() + ": " + e.code().message() +
             (e.sqlstate().empty() ? "" : " (" + e.sqlstate() + ")")];
}

history::write epoch::begun(kind what, const std::string& key, const caller& by) {
    history::write made;
    made.what = what;
    made.key = key;
    made.id = ++last_id_;
    made.client = by.id;
    return made;
}

template <class T>
void epoch::finish(history::write what, const call& of, const pgstate::result<T>& r) {
    what.invoked = of.invoked;
    what.completed = soak_clock::now();
    if (r.has_error()) {
        what.told = of.told_by(r.error());
        if (what.told == history::outcome::unknown)
            ++unknown_writes[why_unknown(r.error())][std::ranges::count(foreign_keys(), what.key) > 0];
        what.missing = r.error() == errc::not_found;
    } else {
        what.told = history::outcome::acknowledged;
        if constexpr (std::is_same_v<T, bool>)
            what.missing = !*r;
        else
            what.version = r->version;
    }
    past.add(std::move(what));
}

template <class T>
void epoch::finish_one(history::write what, const call& of, const pgstate::result<T>& r) {
    count(of, r);
    finish(std::move(what), of, r);
}

asio::awaitable<void> epoch::client(unsigned id) {
    caller self(context_, given_, number_, id);
    auto& random = self.random;
    const auto all = keys();
    asio::steady_timer pause(context_);
    while (!stopping) {
        const auto key = all[random() % all.size()];
        const auto choice = random() % 100;
        if (choice < 20) {
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
