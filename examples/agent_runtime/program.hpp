#ifndef AGENT_RUNTIME_PROGRAM_HPP
#define AGENT_RUNTIME_PROGRAM_HPP

#include "options.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "runtime.hpp"
#include "transcripts.hpp"
#include <pgstate/postgres_store.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/strand.hpp>

#include <optional>
#include <vector>

namespace demo {

/// One run from its beginning to its end: open, check what is there, run the agents, check again, report.
///
/// Must outlive the io_context's run: its members are used on a strand of it.
class program {
public:
    program(boost::asio::io_context& io, const options& chosen);

    /// Starts; the io_context has nothing left to do when it is over.
    void start();

    /// What the process exits with, once it is over.
    int exit_code() const { return exit_code_; }

private:
    boost::asio::awaitable<void> run();
    boost::asio::awaitable<void> clean(pgstate::state_store& store);
    boost::asio::awaitable<void> run_agents(pgstate::state_store& store);
    void stop_on_signal();

    const options chosen_;
    const transcripts scripts_;
    boost::asio::strand<boost::asio::io_context::executor_type> strand_;
    boost::asio::signal_set signals_;
    int signal_ = 0;
    meter meter_;
    std::optional<ledger> acks_;
    std::optional<runtime> agents_;
    std::optional<progress> progress_;
    int exit_code_ = 1;
};

} // namespace demo

#endif
