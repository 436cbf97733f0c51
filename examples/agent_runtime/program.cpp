#include "program.hpp"

#include "cleanup.hpp"
#include "verify.hpp"
#include <pgstate/config.hpp>
#include <pgstate/error.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>
#include <csignal>
#include <exception>
#include <iostream>
#include <map>
#include <set>

namespace asio = boost::asio;

namespace demo {
namespace {

std::vector<session_id> sessions_of(const options& chosen) {
    std::vector<session_id> all;
    for (unsigned agent = 0; agent < chosen.agents; ++agent)
        for (unsigned session = 0; session < chosen.sessions; ++session)
            all.push_back({agent, session});
    return all;
}

/// `wanted`, and what the ledger has besides; in ascending order.
std::vector<session_id> with_acknowledged(const std::vector<session_id>& wanted,
                                          std::map<session_id, std::size_t> acknowledged) {
    for (const session_id id : wanted)
        acknowledged.try_emplace(id, 0);
    std::vector<session_id> all;
    for (const auto& each : acknowledged)
        all.push_back(each.first);
    return all;
}

std::size_t count_agents(const std::vector<session_id>& sessions) {
    std::set<unsigned> agents;
    for (const session_id id : sessions)
        agents.insert(id.agent);
    return agents.size();
}

std::size_t count_turns(const transcripts& scripts, const std::vector<session_id>& sessions) {
    std::size_t turns = 0;
    for (const session_id id : sessions)
        turns += scripts.of(id).turns.size();
    return turns;
}

} // namespace

program::program(asio::io_context& io, const options& chosen)
    : chosen_(chosen), scripts_(chosen.transcripts), strand_(asio::make_strand(io)),
      signals_(strand_, SIGINT, SIGTERM) {}

void program::start() {
    stop_on_signal();
    asio::co_spawn(strand_, run(), [this](std::exception_ptr failure) {
        signals_.cancel();
        if (!failure) return;
        if (progress_) progress_->finish();
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& e) {
            std::cerr << "agent_runtime: " << e.what() << '\n';
        }
    });
}

void program::stop_on_signal() {
    signals_.async_wait([this](const boost::system::error_code& cancelled, int number) {
        if (cancelled) return;
        signals_.clear(); // a second one ends the process at once
        signal_ = number;
        if (agents_) agents_->stop();
    });
}

asio::awaitable<void> program::run() {
    pgstate::config settings;
    settings.connection_string = chosen_.database_url;
    settings.table_name = chosen_.table;
    if (chosen_.rows) settings.schema.history = pgstate::history_layout::rows;
    // On the io_context itself, so that the store's completions are not all squeezed through this strand.
    auto store = co_await pgstate::postgres_store::open(strand_.get_inner_executor(), settings);

    if (chosen_.reset || chosen_.clean) co_await clean(store);
    if (chosen_.clean)
        exit_code_ = 0;
    else
        co_await run_agents(store);
    co_await store.close();
}

asio::awaitable<void> program::clean(pgstate::state_store& store) {
    const std::size_t erased = co_await erase_sessions(store, chosen_.agents);
    std::filesystem::remove(chosen_.ack_file);
    if (erased != 0) std::cout << "erased " << erased << " sessions of an earlier run\n";
}

asio::awaitable<void> program::run_agents(pgstate::state_store& store) {
    acks_.emplace(chosen_.ack_file, chosen_.table + ' ' + scripts_.checksum());
    // An earlier run may have had more sessions: they are gone on with too.
    const std::vector<session_id> sessions = with_acknowledged(sessions_of(chosen_), acks_->acknowledged());

    outcome result;
    result.agents = count_agents(sessions);
    result.sessions = sessions.size();
    result.turns = count_turns(scripts_, sessions);
    result.before = co_await verify(store, scripts_, sessions, acks_->acknowledged());
    if (result.before.sessions != 0)
        std::cout << "found " << result.before.sessions << " sessions with " << result.before.found
                  << " turns; " << result.before.lost << " acknowledged turns are missing" << std::endl;
    if (result.before.repeated != 0 || result.before.altered != 0) { // nothing that could be continued
        result.after = result.before;
        print_verdict(std::cout, result);
        std::cout << "begin anew with --reset\n";
        co_return;
    }

    runtime::settings how;
    how.pace = chosen_.pace;
    how.kill_after = chosen_.kill_after;
    how.window = chosen_.window;
    agents_.emplace(store, scripts_, *acks_, meter_, how);
    progress_.emplace(strand_, result.before.found, result.turns, meter_.acknowledged);
    progress_->start();
    if (signal_ != 0) agents_->stop();
    const auto begin = std::chrono::steady_clock::now();
    co_await agents_->run(sessions);
    result.elapsed = std::chrono::steady_clock::now() - begin;
    progress_->finish();

    result.after = co_await verify(store, scripts_, sessions, acks_->acknowledged());
    print_report(std::cout, result, meter_);
    print_verdict(std::cout, result);
    exit_code_ = result.clean() ? 0 : 1;
    if (signal_ != 0) {
        std::cout << "stopped by a signal; run again to go on\n";
        exit_code_ = 128 + signal_;
    }
}

} // namespace demo
