// The command line of pgstate: looks after a table of agents' states.
#include "command.hpp"
#include "failure.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

namespace {

namespace asio = boost::asio;
namespace cli = pgstate::cli;

int report(int code, const std::string& what) {
    std::cerr << "pgstate: " << what << '\n';
    return code;
}

/// The exit code for what a command threw, after saying on standard error what it was.
int report(const std::exception_ptr& thrown) {
    try {
        std::rethrow_exception(thrown);
    } catch (const cli::failure& e) {
        return report(e.code(), e.what());
    } catch (const pgstate::error& e) {
        if (e == pgstate::errc::callback_failed && e.cause())
            return report(e.cause()); // thrown on a worker thread
        return report(cli::exit_code_of(e), cli::message_of(e));
    } catch (const std::exception& e) {
        return report(cli::exit_code::failed, e.what());
    }
}

/// Runs the command until it is done or a signal ends it.
int run(const cli::arguments& given) {
    asio::io_context io(1);
    const auto screen = cli::terminal::look(given.color);
    const cli::context with{given, screen, io.get_executor()};

    asio::cancellation_signal stop;
    int stopped_by = 0;
    asio::signal_set signals(io, SIGINT, SIGTERM);
    signals.async_wait([&](const boost::system::error_code& cancelled, int number) {
        if (cancelled) return;
        signals.clear(); // a second one ends the process at once
        stopped_by = number;
        stop.emit(asio::cancellation_type::terminal);
    });

    int code = cli::exit_code::ok;
    std::exception_ptr thrown;
    auto done = [&](std::exception_ptr failure, int result) {
        signals.cancel();
        thrown = failure;
        code = result;
    };
    asio::co_spawn(io, given.chosen->run(with), asio::bind_cancellation_slot(stop.slot(), done));
    io.run();

    cli::flush_out();
    if (stopped_by == SIGINT && given.chosen->ends_by_signal) return cli::exit_code::ok;
    if (stopped_by != 0) return cli::exit_code::signalled + stopped_by;
    return thrown ? report(thrown) : code;
}

} // namespace

int main(int argc, char** argv) {
    int code = cli::exit_code::ok;
    try {
        if (const auto given = cli::parse_arguments(argc, argv)) code = run(*given);
    } catch (...) {
        code = report(std::current_exception());
    }
    // A command that failed has not closed its store: a thread that still connects must not meet OpenSSL's exit handler.
    std::cout.flush();
    std::fflush(nullptr);
    std::quick_exit(code);
}
