#include "fault/sweep.hpp"

#include "fault/message_rows.hpp"
#include "support/test_server.hpp"

#include <boost/asio/co_spawn.hpp>

#include <catch2/catch_test_macros.hpp>
#include <pqxx/connection>
#include <pqxx/nontransaction>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <random>
#include <stdexcept>

namespace pgstate_test {

using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

/// Every byte with one of the two endings, by the parity of its place and the seed; with PGSTATE_FAULT_LONG both.
bool sweep_long() {
    static const bool wanted = std::getenv("PGSTATE_FAULT_LONG") != nullptr;
    return wanted;
}
/// PGSTATE_FAULT_EVERY; without it 10, or 1 with PGSTATE_FAULT_LONG.
std::uint64_t sweep_every() {
    static const std::uint64_t every = [] {
        const char* given = std::getenv("PGSTATE_FAULT_EVERY");
        return std::max<std::uint64_t>(given ? std::strtoull(given, nullptr, 10) : sweep_long() ? 1 : 10, 1);
    }();
    return every;
}

/// A store with one connection, and the proxy that it goes through.
struct sweep_lane {
    sweep_lane(asio::io_context& context, const std::string& database, const pgstate::schema_config& schema)
        : proxy(socket_of(server())) {
        settings.connection_string = through(proxy, database) + "&pool_max_conns=1&application_name=swept";
        settings.operation_timeout = sweep_operation_timeout;
        settings.schema = schema;
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

class sweep {
public:
    explicit sweep(sweep_exchange what) : what_(std::move(what)) {
        direct_settings_.connection_string = server().connection_string(database_);
        direct_settings_.schema.checkpoints = what_.rows || what_.checkpoints;
        if (what_.rows) direct_settings_.schema.history = pgstate::history_layout::rows;
        run(context_, [&]() -> asio::awaitable<void> {
            direct_ = co_await pgstate::postgres_store::open(context_.get_executor(), direct_settings_);
            const auto known = sweep_state("known", "known", 0);
            co_await direct_.save(known);
        });
        for (std::size_t i = 0; i < sweep_lanes; ++i)
            lanes_.push_back(std::make_unique<sweep_lane>(context_, database_, direct_settings_.schema));
    }

    /// Sweeps and checks; the findings are empty if all is well.
    std::vector<std::string> findings() {
        const auto begin = sweep_clock::now();
        plan();
        prepare();
        if (what_.rows) epochs_ = epochs();
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
    using row_key = std::pair<std::string, std::string>;

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
        for (auto trial = firsts_.size(); trial < trials_; ++trial)
            for (const auto& session : what_.sessions)
                states.push_back(sweep_state(agent_of(trial), session, 0));
        run(context_, [&]() -> asio::awaitable<void> {
            const auto saved = co_await direct_.save_all(states);
            for (std::size_t i = 0; i < saved.size(); ++i) {
                saved[i].value().apply_to(states[i]);
                if (what_.checkpoints) {
                    co_await direct_.checkpoint(states[i].agent_id, states[i].session_id);
                    const auto later = sweep_state(states[i].agent_id, states[i].session_id, 1);
                    co_await direct_.save(later);
                }
                if (i % what_.sessions.size() == 0) firsts_.push_back(states[i]);
            }
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
        what_.start(on.store, *trial, firsts_.at(number));
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

    /// The names of the histories that are in rows.
    std::map<row_key, std::string> epochs() const {
        pqxx::connection observer(direct_settings_.connection_string);
        std::map<row_key, std::string> found;
        const auto rows = pqxx::nontransaction(observer).exec(
            "SELECT agent_id, session_id, epoch FROM agent_states WHERE epoch IS NOT NULL");
        for (int i = 0; i < static_cast<int>(rows.size()); ++i)
            found.emplace(row_key(rows[i][0].as<std::string>(), rows[i][1].as<std::string>()),
                          rows[i][2].as<std::string>());
        return found;
    }

    /// Nothing of a history is lost or left over, and a save that adds to one has not begun another.
    void check_message_rows() {
        const auto looked = look_at_message_rows(direct_settings_.connection_string);
        for (const auto& each : looked.wrongs)
            wrong(each);
        if (looked.in_rows == 0 || looked.in_document != 0) wrong("histories are not in rows");
        const auto now = epochs();
        for (const auto& trial : done_)
            for (const auto& each : trial->operations())
                if (each->kind == sweep_kind::extend &&
                    epochs_.at({each->agent, each->session}) != now.at({each->agent, each->session}))
                    wrong(trial->about() + ": the history was written anew");
    }

    /// How many checkpoints the rows have.
    std::map<row_key, int> checkpoints() const {
        pqxx::connection observer(direct_settings_.connection_string);
        std::map<row_key, int> found;
        const auto rows = pqxx::nontransaction(observer).exec(
            "SELECT agent_id, session_id, count(*) FROM agent_states_checkpoints GROUP BY 1, 2");
        for (int i = 0; i < static_cast<int>(rows.size()); ++i)
            found.emplace(row_key(rows[i][0].as<std::string>(), rows[i][1].as<std::string>()),
                          rows[i][2].as<int>());
        return found;
    }

    void check() {
        if (what_.rows) check_message_rows();
        if (direct_settings_.schema.checkpoints) checkpoints_ = checkpoints();
        std::map<row_key, agent_state> rows;
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
                const int applied = times_applied(*each, at == rows.end() ? nullptr : &at->second);
                check(*each, applied, trial->about());
                if (!each->group.empty() && together && *together != applied)
                    wrong(trial->about() + ": a transaction was applied in part");
                together = applied;
            }
        }
    }

    int times_applied(const sweep_operation& what, const agent_state* row) {
        if (what.kind == sweep_kind::erase) return row ? 0 : 1;
        if (what.kind == sweep_kind::fork && !row) return 0;
        if (!row) return -1;
        const auto value = row->data.at("value").to_number<int>();
        const auto added = static_cast<int>(row->history.size()) - sweep_messages;
        for (std::size_t i = 0; i < row->history.size(); ++i)
            if (row->history[i].content != "message " + std::to_string(i))
                wrong(what.agent + ", " + what.session + ": another message was at " + std::to_string(i));
        switch (what.kind) {
        case sweep_kind::append: return added;
        case sweep_kind::save:
        case sweep_kind::extend:
            if (added != value) wrong(what.agent + ", " + what.session + ": saved in part");
            return value;
        case sweep_kind::restore:
            if (added != value) wrong(what.agent + ", " + what.session + ": restored in part");
            return 1 - value;
        case sweep_kind::fork:
            if (added != 0) wrong(what.agent + ", " + what.session + ": copied in part");
            return 1;
        case sweep_kind::prune: return 1 - checkpoints_[{what.agent, what.session}];
        case sweep_kind::checkpoint: return checkpoints_[{what.agent, what.session}];
        default: return value;
        }
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
    std::vector<agent_state> firsts_;       ///< the first row of each trial
    std::map<row_key, std::string> epochs_; ///< before the trials
    std::map<row_key, int> checkpoints_;    ///< after the trials
    std::vector<std::shared_ptr<sweep_trial>> done_;
    std::vector<std::shared_ptr<sweep_trial>> warm_ups_;
    sweep_totals totals_;
    std::vector<std::string> wrongs_;
};

} // namespace

std::string sweep_text(const sweep_cut& cut) {
    return std::string(cut.how == sweep_ending::fin ? "FIN" : "RST") + " after " + std::to_string(cut.bytes) +
           " bytes " + (cut.way == sweep_direction::to_server ? "to the server" : "to the client");
}

std::uint64_t sweep_seed() {
    static const std::uint64_t seed = [] {
        const char* given = std::getenv("PGSTATE_FAULT_SEED");
        return given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    }();
    return seed;
}

std::vector<sweep_cut> sweep_cuts(const std::array<std::uint64_t, 2>& bytes, std::uint64_t stride) {
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

bool sweep_server_was_lost(const pgstate::error& e) {
    return e == errc::unavailable || e.sqlstate().starts_with("57P") || e.sqlstate().starts_with("08");
}

pgstate::agent_message sweep_message(int number) {
    return {"user", "message " + std::to_string(number), pgstate::timestamp(1'000'000s)};
}

agent_state sweep_state(const std::string& agent, const std::string& session, int value) {
    agent_state state(agent, session);
    state.data["value"] = value;
    for (int i = 0; i < sweep_messages + value; ++i)
        state.history.push_back(sweep_message(i));
    return state;
}

void sweep_check(sweep_exchange what) {
    sweep all(std::move(what));
    for (const auto& each : all.findings())
        FAIL_CHECK(each);
}

} // namespace pgstate_test
