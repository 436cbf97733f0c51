// Each exchange with the server is cut after every one of its bytes, in both directions, and each time must hold:
// every operation completes once and soon, with success or an error that is true; what was acknowledged is in the table,
// what failed is not, and nothing is applied twice; and the next operation succeeds without anybody's help.

#include "fault/proxy.hpp"
#include "pgstate/pgstate.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_test_macros.hpp>
#include <pqxx/connection>
#include <pqxx/nontransaction>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

using sweep_clock = std::chrono::steady_clock;
using sweep_direction = fault_proxy::direction;
using sweep_ending = fault_proxy::ending;

/// A lost connection is noticed at once; nothing of what happens here takes long on a busy machine either.
constexpr auto sweep_soon = 5s;
/// Longer: an operation that ends by its time-out has not noticed.
constexpr auto sweep_operation_timeout = 20s;
/// So many connections are cut side by side.
constexpr std::size_t sweep_lanes = 8;

/// How a row tells how often an operation was applied to it: each has a row to itself.
enum class sweep_kind { save, append, increment, erase, load };

enum class sweep_outcome { pending, acknowledged, failed, unknown };

struct sweep_operation {
    sweep_kind kind{};
    std::string agent;
    std::string session;
    std::string group; ///< operations with the same one are applied together or not at all; empty: alone
    int calls = 0;
    sweep_outcome outcome = sweep_outcome::pending;
    std::string said;
};

struct sweep_cut {
    sweep_direction way{};
    std::uint64_t bytes = 0;
    sweep_ending how{};
};

std::string sweep_text(const sweep_cut& cut) {
    return std::string(cut.how == sweep_ending::fin ? "FIN" : "RST") + " after " + std::to_string(cut.bytes) +
           " bytes " + (cut.way == sweep_direction::to_server ? "to the server" : "to the client");
}

/// A failure after which nothing has been applied, of a server that went away.
bool sweep_server_was_lost(const pgstate::error& e) {
    return e == errc::unavailable || e.sqlstate().starts_with("57P") || e.sqlstate().starts_with("08");
}

/// One exchange with its operations, and the cut that was made in it.
class sweep_trial {
public:
    sweep_trial(asio::io_context& context, std::string agent, std::string about)
        : agent_(std::move(agent)), about_(std::move(about)), completed_(context) {}

    const std::string& agent() const noexcept { return agent_; }
    const std::string& about() const noexcept { return about_; }

    /// The token for an operation on a row of its own.
    template <class T>
    auto expect(sweep_kind kind, std::string session) {
        auto what = std::make_shared<sweep_operation>();
        what->kind = kind;
        what->agent = agent_;
        what->session = std::move(session);
        operations_.push_back(what);
        return as_result([this, what](pgstate::result<T> r) { note(*what, r); });
    }
    /// For a transaction of several writes.
    auto expect_together(const std::vector<std::pair<sweep_kind, std::string>>& writes) {
        std::vector<std::shared_ptr<sweep_operation>> group;
        for (const auto& [kind, session] : writes) {
            auto what = std::make_shared<sweep_operation>();
            what->kind = kind;
            what->agent = agent_;
            what->session = session;
            what->group = agent_;
            operations_.push_back(what);
            group.push_back(what);
        }
        return as_result([this, group](pgstate::result<void> r) {
            for (const auto& each : group)
                note(*each, r);
        });
    }

    /// For one whose outcome is of no interest.
    template <class T>
    auto ignored() {
        auto what = std::make_shared<sweep_operation>();
        operations_.push_back(what);
        return as_result([this, what](pgstate::result<T>) {
            ++what->calls;
            completed_.cancel();
        });
    }

    /// False if something has not completed soon.
    asio::awaitable<bool> complete() {
        const auto deadline = sweep_clock::now() + sweep_soon;
        while (!all_completed() && sweep_clock::now() < deadline) {
            completed_.expires_at(deadline);
            co_await completed_.async_wait(asio::as_tuple(asio::use_awaitable));
        }
        co_return all_completed();
    }

    std::string pending() const {
        std::string names;
        for (const auto& each : operations_)
            if (each->calls == 0) names += (names.empty() ? "" : ", ") + each->session;
        return names;
    }
    const std::vector<std::shared_ptr<sweep_operation>>& operations() const noexcept { return operations_; }

private:
    bool all_completed() const {
        return std::ranges::all_of(operations_, [](const auto& each) { return each->calls > 0; });
    }

    template <class T>
    void note(sweep_operation& what, const pgstate::result<T>& r) {
        ++what.calls;
        completed_.cancel();
        if (r.has_value()) {
            what.outcome = sweep_outcome::acknowledged;
            if constexpr (std::is_same_v<T, bool>)
                if (!*r) wrong(what, "there was nothing to erase");
            if constexpr (std::is_same_v<T, std::optional<agent_state>>)
                if (!*r || (**r).data.at("value") != 0) wrong(what, "another state was loaded");
            return;
        }
        what.said = r.error().what();
        what.outcome = r.error() == errc::outcome_unknown ? sweep_outcome::unknown : sweep_outcome::failed;
        if (what.kind == sweep_kind::load)
            wrong(what, "a read was not made again");
        else if (what.outcome == sweep_outcome::failed && !sweep_server_was_lost(r.error()))
            wrong(what, "nothing but the lost connection was there to fail for");
    }
    void wrong(const sweep_operation& what, const std::string& why) {
        wrongs.push_back(about_ + ", " + what.session + ": " + why + " (" + what.said + ")");
    }

    const std::string agent_;
    const std::string about_;
    asio::steady_timer completed_;
    std::vector<std::shared_ptr<sweep_operation>> operations_;

public:
    std::vector<std::string> wrongs;
};

agent_state sweep_state(const std::string& agent, const std::string& session, int value) {
    agent_state state(agent, session);
    state.data["value"] = value;
    return state;
}

/// What is swept.
struct sweep_exchange {
    std::string name;
    /// The rows that its operations work on: they are there before, with the value 0.
    std::vector<std::string> sessions;
    /// What the connection is used for before, on rows that are not there: the same, so that the statement is prepared.
    std::function<void(pgstate::postgres_store&, sweep_trial&)> warm_up{};
    std::function<void(pgstate::postgres_store&, sweep_trial&, std::int64_t version)> start;
    /// How many bytes apart the cuts are, at most; from which of them on is a matter of the seed.
    std::uint64_t stride = 1;
    /// The connection is lost before, and the cut is one in the making of the next.
    bool reconnects = false;
};

/// A store with one connection, and the proxy that it goes through.
struct sweep_lane {
    sweep_lane(asio::io_context& context, const std::string& database) : proxy(socket_of(server())) {
        settings.connection_string = through(proxy, database) + "&pool_max_conns=1&application_name=swept";
        settings.operation_timeout = sweep_operation_timeout;
        settings.schema.migrate = pgstate::migrate_mode::off;
        run(context, [&]() -> asio::awaitable<void> {
            store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
        });
    }

    fault_proxy proxy;
    pgstate::config settings;
    pgstate::postgres_store store;
};

struct sweep_totals {
    std::size_t trials = 0;
    std::size_t cut = 0;
    std::map<sweep_outcome, std::size_t> outcomes;
    sweep_clock::duration slowest{};
};

/// Every byte with one of the two endings, by the parity of its place and the seed; with PGSTATE_FAULT_LONG both.
bool sweep_long() {
    static const bool wanted = std::getenv("PGSTATE_FAULT_LONG") != nullptr;
    return wanted;
}
std::uint64_t sweep_seed() {
    static const std::uint64_t seed = [] {
        const char* given = std::getenv("PGSTATE_FAULT_SEED");
        return given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    }();
    return seed;
}

/// With PGSTATE_FAULT_EVERY=N only every Nth byte, from one on that is a matter of the seed.
std::uint64_t sweep_every() {
    static const std::uint64_t every = [] {
        const char* given = std::getenv("PGSTATE_FAULT_EVERY");
        return std::max<std::uint64_t>(given ? std::strtoull(given, nullptr, 10) : 1, 1);
    }();
    return every;
}

/// All cuts of an exchange with so many bytes each way.
std::vector<sweep_cut> sweep_cuts(const std::array<std::uint64_t, 2>& bytes, std::uint64_t stride = 1) {
    stride = sweep_long() ? 1 : stride * sweep_every();
    std::vector<sweep_cut> cuts;
    for (const auto way : {sweep_direction::to_server, sweep_direction::to_client})
        for (std::uint64_t n = sweep_seed() % stride; n <= bytes.at(static_cast<std::size_t>(way));
             n += stride)
            for (const auto how : {sweep_ending::fin, sweep_ending::rst})
                if (sweep_long() ||
                    (n / stride + sweep_seed() / stride) % 2 == static_cast<std::uint64_t>(how))
                    cuts.push_back({way, n, how});
    return cuts;
}

class sweep {
public:
    explicit sweep(sweep_exchange what) : what_(std::move(what)) {
        direct_settings_.connection_string = server().connection_string(database_);
        run(context_, [&]() -> asio::awaitable<void> {
            direct_ = co_await pgstate::postgres_store::open(context_.get_executor(), direct_settings_);
            const auto known = sweep_state("known", "known", 0);
            co_await direct_.save(known);
        });
        for (std::size_t i = 0; i < sweep_lanes; ++i)
            lanes_.push_back(std::make_unique<sweep_lane>(context_, database_));
    }

    /// Sweeps and checks; the findings are empty if all is well.
    std::vector<std::string> findings() {
        const auto begin = sweep_clock::now();
        plan();
        prepare();
        std::size_t running = lanes_.size();
        for (auto& each : lanes_)
            asio::co_spawn(context_, work(*each), [&](std::exception_ptr failure) {
                --running;
                if (failure) wrong("a lane ended: " + std::string(pgstate::to_error(failure).what()));
            });
        context_.restart();
        while (running > 0)
            if (context_.run_one_for(patience) == 0)
                throw std::runtime_error(what_.name + ": nothing happens any more");
        quiesce();
        check();
        const auto took = std::chrono::duration<double>(sweep_clock::now() - begin).count();
        std::cout << what_.name << ": " << longest_[0] << " bytes to the server, " << longest_[1]
                  << " to the client; " << totals_.trials << " trials, " << totals_.cut
                  << " cut; operations: " << totals_.outcomes[sweep_outcome::acknowledged]
                  << " acknowledged, " << totals_.outcomes[sweep_outcome::failed] << " failed, "
                  << totals_.outcomes[sweep_outcome::unknown] << " unknown; slowest trial "
                  << std::chrono::duration_cast<std::chrono::milliseconds>(totals_.slowest).count() << " ms; "
                  << took << " s; seed " << sweep_seed() << std::endl;
        return std::move(wrongs_);
    }

private:
    static constexpr std::size_t measurements = 3;

    void wrong(std::string what) {
        constexpr std::size_t enough = 20;
        if (wrongs_.size() < enough) wrongs_.push_back(what_.name + ": " + std::move(what));
    }

    /// The trial's rows; of the same length each time, so that the bytes are as many.
    std::string agent_of(std::size_t trial) const {
        auto number = std::to_string(trial);
        return "trial-" + std::string(6 - number.size(), '0') + number;
    }

    /// How long the exchange is when nothing is cut, and from that all cuts.
    void plan() {
        trials_ = measurements;
        prepare();
        for (std::size_t i = 0; i < measurements; ++i)
            run(context_, [&]() -> asio::awaitable<void> {
                const auto passed = co_await attempt(*lanes_.front(), i, std::nullopt);
                for (std::size_t way = 0; way < 2; ++way)
                    longest_[way] = std::max(longest_[way], passed[way]);
            });
        cuts_ = sweep_cuts(longest_, what_.stride);
        trials_ += cuts_.size();
    }

    /// The rows of all trials, over a connection that is never cut.
    void prepare() {
        std::vector<agent_state> states;
        for (auto trial = versions_.size(); trial < trials_; ++trial)
            for (const auto& session : what_.sessions)
                states.push_back(sweep_state(agent_of(trial), session, 0));
        run(context_, [&]() -> asio::awaitable<void> {
            const auto saved = co_await direct_.save_all(states);
            for (std::size_t i = 0; i < saved.size(); i += what_.sessions.size())
                versions_.push_back(saved[i].value().version);
        });
    }

    asio::awaitable<void> work(sweep_lane& on) {
        while (next_ < cuts_.size() && wrongs_.size() < 20) {
            const auto number = next_++;
            co_await attempt(on, measurements + number, cuts_[number]);
        }
    }

    /// Runs the exchange once and tells how many bytes passed.
    asio::awaitable<std::array<std::uint64_t, 2>> attempt(sweep_lane& on, std::size_t number,
                                                          std::optional<sweep_cut> cut) {
        const auto name = agent_of(number) + (cut ? ", " + sweep_text(*cut) : ", not cut");
        co_await next_one_succeeds(on, name + ", before it");
        if (what_.warm_up) {
            auto warm = warm_ups_.emplace_back(std::make_shared<sweep_trial>(context_, "warm-up", name));
            what_.warm_up(on.store, *warm);
            if (!co_await warm->complete()) wrong(name + ": the warm-up did not complete");
        }
        auto trial = std::make_shared<sweep_trial>(context_, agent_of(number), name);
        if (what_.reconnects) on.proxy.reset_all();
        const auto before = on.proxy.count();
        if (cut && what_.reconnects) on.proxy.cut_next(cut->way, cut->bytes, cut->how);
        if (cut && !what_.reconnects) on.proxy.cut(cut->way, cut->bytes, cut->how);

        const auto begin = sweep_clock::now();
        what_.start(on.store, *trial, versions_.at(number));
        if (!co_await trial->complete())
            wrong(name + ": not completed soon: " + trial->pending() + " of " +
                  std::to_string(trial->operations().size()) + " operations");
        totals_.slowest = std::max(totals_.slowest, sweep_clock::now() - begin);
        const auto after = on.proxy.count();
        on.proxy.disarm();
        ++totals_.trials;
        totals_.cut += after.cuts - before.cuts;
        done_.push_back(trial);
        co_await next_one_succeeds(on, name);
        co_return std::array{after.bytes_to_server - before.bytes_to_server,
                             after.bytes_to_client - before.bytes_to_client};
    }

    asio::awaitable<void> next_one_succeeds(sweep_lane& on, std::string name) {
        const auto begin = sweep_clock::now();
        const auto loaded = co_await on.store.load("known", "known", as_result);
        if (loaded.has_error())
            wrong(name + ": the next operation failed: " + loaded.error().what());
        else if (sweep_clock::now() - begin > sweep_soon)
            wrong(name + ": the next operation was late");
    }

    /// Until the server has come to the end of every connection that was cut: until then it may still apply something.
    void quiesce() {
        run(context_, [&]() -> asio::awaitable<void> {
            for (auto& each : lanes_)
                co_await each->store.close();
        });
        pqxx::connection observer(direct_settings_.connection_string);
        const auto deadline = sweep_clock::now() + patience;
        for (bool left = true; left;) {
            if (sweep_clock::now() > deadline) throw std::runtime_error("the server still has connections");
            left = pqxx::nontransaction(observer)
                       .exec("SELECT count(*) > 0 FROM pg_stat_activity "
                             "WHERE application_name = 'swept' AND datname = current_database()")[0][0]
                       .as<bool>();
        }
    }

    void check() {
        std::map<std::pair<std::string, std::string>, agent_state> rows;
        std::vector<pgstate::state_key> keys;
        for (const auto& trial : done_)
            for (const auto& each : trial->operations())
                keys.emplace_back(each->agent, each->session);
        run(context_, [&]() -> asio::awaitable<void> {
            auto loaded = co_await direct_.load_all(keys);
            for (auto& each : loaded)
                if (each) rows.emplace(std::pair{each->agent_id, each->session_id}, std::move(*each));
            co_await direct_.close();
        });
        for (const auto& trial : done_) {
            for (const auto& each : trial->wrongs)
                wrong(each);
            std::optional<int> together;
            for (const auto& each : trial->operations()) {
                const auto at = rows.find({each->agent, each->session});
                const int applied = times_applied(each->kind, at == rows.end() ? nullptr : &at->second);
                check(*each, applied, trial->about());
                if (!each->group.empty() && together && *together != applied)
                    wrong(trial->about() + ": a transaction was applied in part");
                together = applied;
            }
        }
    }

    static int times_applied(sweep_kind kind, const agent_state* row) {
        if (kind == sweep_kind::erase) return row ? 0 : 1;
        if (!row) return -1;
        if (kind == sweep_kind::append) return static_cast<int>(row->history.size());
        return static_cast<int>(row->data.at("value").to_number<int>());
    }

    void check(const sweep_operation& what, int applied, const std::string& about) {
        ++totals_.outcomes[what.outcome];
        const auto name = about + ", " + what.session;
        if (what.calls != 1) wrong(name + ": completed " + std::to_string(what.calls) + " times");
        if (what.kind == sweep_kind::load) return;
        if (applied < 0) wrong(name + ": its row is gone");
        if (applied > 1) wrong(name + ": applied " + std::to_string(applied) + " times");
        if (what.outcome == sweep_outcome::acknowledged && applied == 0)
            wrong(name + ": acknowledged and lost");
        if (what.outcome == sweep_outcome::failed && applied != 0)
            wrong(name + ": reported as failed (" + what.said + ") and applied");
    }

    const sweep_exchange what_;
    const std::string database_ = fresh_database_name();
    asio::io_context context_;
    pgstate::config direct_settings_;
    pgstate::postgres_store direct_;
    std::vector<std::unique_ptr<sweep_lane>> lanes_;

    std::array<std::uint64_t, 2> longest_{};
    std::vector<sweep_cut> cuts_;
    std::size_t next_ = 0;
    std::size_t trials_ = 0;
    std::vector<std::int64_t> versions_; ///< of the first row of each trial
    std::vector<std::shared_ptr<sweep_trial>> done_;
    std::vector<std::shared_ptr<sweep_trial>> warm_ups_;
    sweep_totals totals_;
    std::vector<std::string> wrongs_;
};

void sweep_check(sweep_exchange what) {
    sweep all(std::move(what));
    for (const auto& each : all.findings())
        FAIL_CHECK(each);
}

} // namespace

TEST_CASE("a save is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "save";
    what.sessions = {"s"};
    what.start = [](auto& store, sweep_trial& trial, std::int64_t) {
        store.save(sweep_state(trial.agent(), "s", 1), trial.expect<pgstate::saved>(sweep_kind::save, "s"));
    };
    SECTION("the first of its connection") {
        sweep_check(std::move(what));
    }
    SECTION("prepared before") {
        what.name = "prepared save";
        what.warm_up = [](auto& store, sweep_trial& trial) {
            store.save(sweep_state(trial.agent(), "s", 0), trial.ignored<pgstate::saved>());
        };
        sweep_check(std::move(what));
    }
}

TEST_CASE("a conditional save is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "conditional save";
    what.sessions = {"s"};
    what.warm_up = [](auto& store, sweep_trial& trial) {
        auto state = sweep_state(trial.agent(), "s", 0);
        state.version = 1;
        store.save(state, {.if_unchanged = true}, trial.ignored<pgstate::saved>());
    };
    what.start = [](auto& store, sweep_trial& trial, std::int64_t version) {
        auto state = sweep_state(trial.agent(), "s", 1);
        state.version = version;
        store.save(state, {.if_unchanged = true}, trial.expect<pgstate::saved>(sweep_kind::save, "s"));
    };
    sweep_check(std::move(what));
}

TEST_CASE("a load is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "load";
    what.sessions = {"s"};
    what.start = [](auto& store, sweep_trial& trial, std::int64_t) {
        store.load(trial.agent(), "s", trial.expect<std::optional<agent_state>>(sweep_kind::load, "s"));
    };
    sweep_check(std::move(what));
}

TEST_CASE("saves and loads that share statements are cut at every byte", "[cuts]") {
    constexpr int saves = 8;
    constexpr int loads = 4;
    sweep_exchange what;
    what.name = "batch";
    what.stride = 4; // most of it are the statements' texts, which are long
    for (int i = 0; i < saves + loads; ++i)
        what.sessions.push_back("s" + std::to_string(10 + i));
    what.start = [sessions = what.sessions](auto& store, sweep_trial& trial, std::int64_t) {
        for (std::size_t i = 0; i < sessions.size(); ++i)
            if (i < saves)
                store.save(sweep_state(trial.agent(), sessions[i], 1),
                           trial.expect<pgstate::saved>(sweep_kind::save, sessions[i]));
            else
                store.load(trial.agent(), sessions[i],
                           trial.expect<std::optional<agent_state>>(sweep_kind::load, sessions[i]));
    };
    sweep_check(std::move(what));
}

TEST_CASE("an append is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "append";
    what.sessions = {"s"};
    what.warm_up = [](auto& store, sweep_trial& trial) {
        store.append(trial.agent(), "s", {pgstate::agent_message("user", "hello")},
                     trial.ignored<pgstate::saved>());
    };
    what.start = [](auto& store, sweep_trial& trial, std::int64_t) {
        store.append(trial.agent(), "s", {pgstate::agent_message("user", "hello")},
                     trial.expect<pgstate::saved>(sweep_kind::append, "s"));
    };
    sweep_check(std::move(what));
}

TEST_CASE("an increment is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "increment";
    what.sessions = {"s"};
    what.warm_up = [](auto& store, sweep_trial& trial) {
        store.increment(trial.agent(), "s", "/data/value", 1, trial.ignored<pgstate::saved>());
    };
    what.start = [](auto& store, sweep_trial& trial, std::int64_t) {
        store.increment(trial.agent(), "s", "/data/value", 1,
                        trial.expect<pgstate::saved>(sweep_kind::increment, "s"));
    };
    sweep_check(std::move(what));
}

TEST_CASE("an erase is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "erase";
    what.sessions = {"s"};
    what.warm_up = [](auto& store, sweep_trial& trial) {
        store.erase(trial.agent(), "s", trial.ignored<bool>());
    };
    what.start = [](auto& store, sweep_trial& trial, std::int64_t) {
        store.erase(trial.agent(), "s", trial.expect<bool>(sweep_kind::erase, "s"));
    };
    SECTION("on a connection that is there") {
        sweep_check(std::move(what));
    }
    SECTION("in the making of its connection") {
        what.name = "reconnect and erase";
        what.warm_up = {};
        what.reconnects = true;
        sweep_check(std::move(what));
    }
}

TEST_CASE("a transaction is cut at every byte", "[cuts]") {
    sweep_exchange what;
    what.name = "transaction";
    what.sessions = {"s1", "s2"};
    what.start = [](auto& store, sweep_trial& trial, std::int64_t) {
        auto work = [agent = trial.agent()](pgstate::transaction& t) {
            t.save(sweep_state(agent, "s1", 1));
            t.erase(agent, "s2");
        };
        store.transaction(std::move(work),
                          trial.expect_together({{sweep_kind::save, "s1"}, {sweep_kind::erase, "s2"}}));
    };
    sweep_check(std::move(what));
}

namespace {

/// Opens stores and closes them. They share nothing, so it shows once whether the server has come to harm.
class connect_sweep {
public:
    connect_sweep() {
        for (std::size_t i = 0; i < sweep_lanes; ++i) {
            auto& made = *lanes_.emplace_back(std::make_unique<lane>());
            made.settings.connection_string =
                through_with_password(made.proxy, server(), database_) + "?pool_max_conns=1";
            made.settings.operation_timeout = sweep_operation_timeout;
            made.settings.schema.migrate = pgstate::migrate_mode::off;
        }
    }

    void check() {
        const auto begin = sweep_clock::now();
        plan();
        std::size_t running = lanes_.size();
        for (auto& each : lanes_)
            asio::co_spawn(context_, work(*each), [&](std::exception_ptr failure) {
                --running;
                if (failure) wrong(pgstate::to_error(failure).what());
            });
        context_.restart();
        while (running > 0)
            if (context_.run_one_for(patience) == 0)
                throw std::runtime_error("connect: nothing happens any more");
        std::cout << "connect: " << longest_[0] << " bytes to the server, " << longest_[1]
                  << " to the client; " << opened_ << " opened in spite of the cut, " << failed_
                  << " failed; slowest "
                  << std::chrono::duration_cast<std::chrono::milliseconds>(slowest_).count() << " ms; "
                  << std::chrono::duration<double>(sweep_clock::now() - begin).count() << " s; seed "
                  << sweep_seed() << std::endl;
        for (const auto& each : wrongs_)
            FAIL_CHECK(each);
    }

private:
    struct lane {
        fault_proxy proxy{tcp_of(server())};
        pgstate::config settings;
    };

    void wrong(std::string what) {
        if (wrongs_.size() < 20) wrongs_.push_back(std::move(what));
    }

    void plan() {
        auto& proxy = lanes_.front()->proxy;
        for (int i = 0; i < 3; ++i) {
            const auto before = proxy.count();
            run(context_, [&]() -> asio::awaitable<void> {
                const auto failure = co_await open_once(*lanes_.front());
                if (failure) wrong(std::string("not cut: ") + failure->what());
            });
            const auto after = proxy.count();
            longest_[0] = std::max(longest_[0], after.bytes_to_server - before.bytes_to_server);
            longest_[1] = std::max(longest_[1], after.bytes_to_client - before.bytes_to_client);
        }
        cuts_ = sweep_cuts(longest_);
    }

    asio::awaitable<std::optional<pgstate::error>> open_once(lane& on) {
        auto opened = co_await pgstate::postgres_store::open(context_.get_executor(), on.settings, as_result);
        if (opened.has_error()) co_return opened.error();
        auto store = std::move(*opened);
        co_await store.close();
        co_return std::nullopt;
    }

    asio::awaitable<void> work(lane& on) {
        while (next_ < cuts_.size()) {
            const auto what = cuts_[next_++];
            on.proxy.cut_next(what.way, what.bytes, what.how);
            const auto begin = sweep_clock::now();
            const auto failure = co_await open_once(on);
            const auto took = sweep_clock::now() - begin;
            on.proxy.disarm();
            slowest_ = std::max(slowest_, took);
            ++(failure ? failed_ : opened_);
            if (took > sweep_soon) wrong(sweep_text(what) + ": opened or failed late");
            if (failure && *failure != errc::unavailable) wrong(sweep_text(what) + ": " + failure->what());
        }
        const auto failure = co_await open_once(on);
        if (failure) wrong(std::string("after the cuts: ") + failure->what());
    }

    const std::string database_ = fresh_database_name();
    asio::io_context context_;
    std::vector<std::unique_ptr<lane>> lanes_;
    std::array<std::uint64_t, 2> longest_{};
    std::vector<sweep_cut> cuts_;
    std::size_t next_ = 0;
    std::size_t opened_ = 0;
    std::size_t failed_ = 0;
    sweep_clock::duration slowest_{};
    std::vector<std::string> wrongs_;
};

} // namespace

TEST_CASE("opening a store with a password is cut at every byte", "[cuts]") {
    connect_sweep all;
    all.check();
}
