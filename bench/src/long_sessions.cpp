#include "long_sessions.hpp"

#include "long_table.hpp"
#include "pgstate/error.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <initializer_list>
#include <iostream>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {
namespace {

using boost::asio::awaitable;
using boost::asio::use_awaitable;
using clock = std::chrono::steady_clock;
using pgstate::history_layout;

constexpr unsigned turns = 5;

double milliseconds_since(clock::time_point began) {
    return std::chrono::duration<double, std::milli>(clock::now() - began).count();
}

template <class Coroutine>
void run(engine& runs_on, Coroutine coroutine) {
    boost::asio::co_spawn(runs_on.executor(), std::move(coroutine), boost::asio::use_future).get();
}

/// An operation that is repeated, and what was seen of it.
struct series {
    std::string layout;
    std::string what;
    std::size_t messages = 0;
    unsigned in_a_turn = 0;
    std::function<awaitable<void>()> operation{};
    std::function<awaitable<void>()> prepare{}; ///< before each operation, and not counted

    std::vector<double> times{};
    std::vector<double> logged{};
};

double median_of(std::vector<double> values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    const auto half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double mean_of(const std::vector<double>& values) {
    return values.empty()
               ? 0
               : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

void print(const series& of, const std::string& part) {
    std::cout << "{\"part\":\"" << part << "\",\"layout\":\"" << of.layout << "\",\"what\":\"" << of.what
              << "\",\"messages\":" << of.messages << ",\"operations\":" << of.times.size()
              << ",\"p50_ms\":" << median_of(of.times) << ",\"mean_ms\":" << mean_of(of.times)
              << ",\"max_ms\":"
              << (of.times.empty() ? 0 : *std::max_element(of.times.begin(), of.times.end()))
              << ",\"wal_bytes\":" << mean_of(of.logged) << ",\"wal_p50_bytes\":" << median_of(of.logged)
              << "}" << std::endl;
}

/// \param counted  not of the warm-up
awaitable<void> take(series& of, pgstate::connection_pool& observer, bool counted) {
    if (of.prepare) co_await of.prepare();
    const auto log = co_await log_position(observer);
    const auto began = clock::now();
    co_await of.operation();
    const auto took = milliseconds_since(began);
    const auto written = co_await log_position(observer) - log;
    if (!counted) co_return;
    of.times.push_back(took);
    of.logged.push_back(static_cast<double>(written));
}

/// A turn of a layout: an operation of each of its series after the other, so that they meet the same disturbances.
awaitable<void> take_turn(std::vector<series>& all, std::string_view layout,
                          pgstate::connection_pool& observer, bool counted) {
    bool more = true;
    for (unsigned i = 0; std::exchange(more, false); ++i)
        for (auto& each : all) {
            if (each.layout != layout || i >= each.in_a_turn) continue;
            co_await take(each, observer, counted);
            more = true;
        }
}

/// The layouts by turns, every other time the other one first. The first turn of each is the warm-up: it writes the pages that the
/// operations change to the log as a whole, which the checkpoint before it makes necessary once for each page.
awaitable<void> take_turns(std::vector<series>& all, pgstate::connection_pool& observer) {
    for (unsigned turn = 0; turn <= turns; ++turn)
        for (const bool second : {false, true})
            co_await take_turn(all, (turn % 2 == 0) == second ? "rows" : "document", observer, turn > 0);
}

class long_sessions {
public:
    long_sessions(engine& runs_on, const arguments& chosen, const std::string& url)
        : engine_(runs_on), chosen_(chosen), url_(url), observer_(make_observer(runs_on, url)),
          maker_(chosen.seed) {}

    void append() {
        open_both();
        std::vector<series> all;
        for (const std::size_t messages : {10UL, 1'000UL, 10'000UL, 100'000UL})
            for (auto& each : tables_) {
                // Short histories would grow by much: there are as many of them as appends in a turn.
                const bool shortly = messages <= 10;
                const unsigned most = each->in_rows() || messages < 10'000 ? 40 : messages < 100'000 ? 8 : 2;
                std::vector<std::string> agents;
                while (agents.size() < (shortly ? most : 1))
                    agents.push_back(fill(*each, messages));
                all.push_back({each->layout(), "append", messages, most,
                               [this, &each, agents, next = 0UL]() mutable -> awaitable<void> {
                                   return append_one(*each, agents[next++ % agents.size()]);
                               }});
            }
        measure(all);
    }

    void load() {
        open_both();
        std::vector<series> all;
        for (auto& each : tables_) {
            const auto add = [&](const char* what, std::size_t messages, pgstate::history_window window,
                                 std::size_t wanted, unsigned most) {
                const auto agent = fill(*each, messages);
                all.push_back({each->layout(), what, messages, most,
                               [&each, agent, window, wanted]() -> awaitable<void> {
                                   pgstate::load_options options;
                                   options.history = window;
                                   const auto loaded = co_await each->store().load(agent, "session-0",
                                                                                   options, use_awaitable);
                                   if (!loaded || loaded->history.size() != wanted)
                                       throw std::runtime_error("load: other messages than were asked for");
                               }});
            };
            const bool slow = !each->in_rows();
            add("load_last_50", 100'000, pgstate::history_window::last(50), 50, slow ? 3 : 100);
            add("load_all", 50, pgstate::history_window::all, 50, 100);
            add("load_all", 1'000, pgstate::history_window::all, 1'000, 40);
            add("load_all", 10'000, pgstate::history_window::all, 10'000, 8);
            add("load_all", 100'000, pgstate::history_window::all, 100'000, 2);
        }
        measure(all);
    }

    /// What rewrites histories leaves much for the server to tidy up: it comes last.
    void save() {
        open_both();
        measure_saves({"save", "save_if_unchanged", "save_part"});
        measure_saves({"save_rewritten"});
    }

    /// A session that a save after each message builds. That of 10,000 messages is of rows alone: in a document it would write
    /// gigabytes.
    void build() {
        open_both();
        for (auto& each : tables_)
            build(*each, 1'000);
        for (auto& each : tables_)
            if (each->in_rows()) build(*each, 10'000);
    }

    void checkpoint() {
        open_both();
        std::vector<series> all;
        for (auto& each : tables_)
            for (const std::size_t messages : {0UL, 10'000UL}) {
                const auto agent = fill(*each, messages);
                all.push_back({each->layout(), "checkpoint", messages, 20,
                               [&each, agent]() -> awaitable<void> {
                                   co_await each->store().checkpoint(agent, "session-0", use_awaitable);
                               },
                               [this, &each, agent]() -> awaitable<void> { // for another version
                                   pgstate::state_patch patch;
                                   patch.data["step"] = ++step_;
                                   co_await each->store().merge(agent, "session-0", patch, use_awaitable);
                               }});
            }
        measure(all);
    }

    /// Each caller appends to a session of its own.
    void callers(history_layout layout, bool ids) {
        open(layout, chosen_.conns);
        auto& table = *tables_.front();
        fill_for_callers(table, ids);
        std::vector<unsigned> done(chosen_.callers);
        const auto phase = [&](seconds duration) {
            const auto began = clock::now();
            const auto end = began + std::chrono::duration_cast<clock::duration>(duration);
            std::vector<std::future<void>> all;
            for (unsigned i = 0; i < chosen_.callers; ++i)
                all.push_back(boost::asio::co_spawn(
                    engine_.executor(), append_until(table, i, ids, end, done[i]), boost::asio::use_future));
            for (auto& each : all)
                each.get();
            return milliseconds_since(began) / 1'000;
        };
        if (chosen_.warmup.count() > 0) phase(chosen_.warmup);
        std::fill(done.begin(), done.end(), 0U);
        times_.clear();
        const auto elapsed = phase(chosen_.duration);
        const auto count = std::accumulate(done.begin(), done.end(), 0ULL);
        std::cout << "{\"part\":\"callers\",\"layout\":\"" << table.layout() << "\",\"what\":\""
                  << (ids ? "append_ids" : "append") << "\",\"messages\":" << messages_of_callers
                  << ",\"callers\":" << chosen_.callers << ",\"operations\":" << count
                  << ",\"ops_per_s\":" << static_cast<double>(count) / elapsed
                  << ",\"p50_ms\":" << median_of(times_) << "}" << std::endl;
    }

    /// The table in rows that another program is to work on.
    void prepare() {
        open(history_layout::rows, chosen_.conns);
        fill_for_callers(*tables_.front(), false);
    }

private:
    static constexpr std::size_t messages_of_callers = 1'000;

    void open(history_layout layout, std::size_t conns) {
        tables_.push_back(std::make_unique<long_table>(engine_, chosen_, url_, layout, conns));
    }
    /// A single caller has a single connection, which is warm after the first turn.
    void open_both() {
        open(history_layout::document, 1);
        open(history_layout::rows, 1);
    }

    /// Saves a new state, and gives its agent.
    std::string fill(long_table& table, std::size_t messages, bool ids = false) {
        const auto agent = "agent-" + std::to_string(agents_++);
        table.store().save(maker_.make_state(agent, messages, ids), boost::asio::use_future).get();
        return agent;
    }

    void fill_for_callers(long_table& table, bool ids) {
        for (unsigned i = 0; i < chosen_.callers; ++i)
            fill(table, messages_of_callers, ids);
        table.tidy_up();
    }

    void measure(std::vector<series>& all) {
        for (auto& each : tables_)
            each->tidy_up();
        run(engine_, take_turns(all, observer_));
        for (const auto& each : all)
            print(each, chosen_.long_part);
    }

    void measure_saves(std::initializer_list<std::string_view> all_kinds) {
        std::vector<series> all;
        for (auto& each : tables_)
            for (const auto what : all_kinds) {
                const auto agent = fill(*each, 10'000);
                const bool rewritten = what == "save_rewritten";
                pgstate::load_options options;
                if (what == "save_part") options.history = pgstate::history_window::last(50);
                auto& state = *states_.emplace_back(std::make_unique<pgstate::agent_state>(
                    each->store().load(agent, "session-0", options, boost::asio::use_future).get().value()));
                pgstate::save_options how;
                how.if_unchanged = what == "save_if_unchanged";
                all.push_back({each->layout(), std::string(what), 10'000,
                               each->in_rows() && !rewritten ? 20U : 5U,
                               [&each, &state, how]() -> awaitable<void> {
                                   (co_await each->store().save(state, how, use_awaitable)).apply_to(state);
                               },
                               [this, &state, rewritten]() -> awaitable<void> {
                                   if (rewritten) state.history.front() = maker_.make();
                                   state.history.push_back(maker_.make());
                                   co_return;
                               }});
            }
        measure(all);
    }

    awaitable<void> append_one(long_table& table, std::string agent) {
        const auto more = maker_.make();
        co_await table.store().append(agent, "session-0", more, use_awaitable);
    }

    awaitable<void> append_until(long_table& table, unsigned caller, bool ids, clock::time_point end,
                                 unsigned& done) {
        const auto agent = "agent-" + std::to_string(caller);
        for (auto began = clock::now(); began < end; began = clock::now()) {
            auto more = maker_.make();
            if (ids) more.id = message_maker::id_of(next_id_++);
            const auto saved = co_await table.store().append(agent, "session-0", more, use_awaitable);
            if (!saved.applied) throw std::runtime_error("append: the message was there");
            times_.push_back(milliseconds_since(began));
            ++done;
        }
    }

    void build(long_table& table, std::size_t messages) {
        table.tidy_up();
        series all{table.layout(), "build", messages};
        run(engine_, [&]() -> awaitable<void> {
            auto state = maker_.make_state("agent-" + std::to_string(agents_++), 0);
            const auto log = co_await log_position(observer_);
            const auto began = clock::now();
            for (std::size_t i = 0; i < messages; ++i) {
                state.history.push_back(maker_.make());
                (co_await table.store().save(state, use_awaitable)).apply_to(state);
            }
            all.times.push_back(milliseconds_since(began));
            all.logged.push_back(static_cast<double>(co_await log_position(observer_) - log));
        });
        print(all, chosen_.long_part);
    }

    engine& engine_;
    const arguments& chosen_;
    const std::string& url_;
    pgstate::connection_pool observer_;
    message_maker maker_;
    std::vector<std::unique_ptr<long_table>> tables_;
    std::vector<std::unique_ptr<pgstate::agent_state>> states_;
    std::vector<double> times_; ///< of callers, in milliseconds
    std::uint64_t next_id_ = 1'000'000;
    unsigned agents_ = 0;
    int step_ = 1;
};

} // namespace

void measure_long_sessions(engine& runs_on, const arguments& chosen, const std::string& url) {
    long_sessions sessions(runs_on, chosen, url);
    const auto& part = chosen.long_part;
    if (part == "append") return sessions.append();
    if (part == "load") return sessions.load();
    if (part == "save") return sessions.save();
    if (part == "build") return sessions.build();
    if (part == "checkpoint") return sessions.checkpoint();
    if (part == "callers-prepare") return sessions.prepare();
    if (part == "callers-document") return sessions.callers(history_layout::document, false);
    if (part == "callers-rows") return sessions.callers(history_layout::rows, false);
    return sessions.callers(history_layout::rows, true); // callers-ids
}

} // namespace bench
