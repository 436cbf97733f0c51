#ifndef PGSTATE_EXAMPLES_RUN_EXAMPLE_HPP
#define PGSTATE_EXAMPLES_RUN_EXAMPLE_HPP

#include <pgstate/config.hpp>

#include <boost/asio/awaitable.hpp>

#include <functional>

/// What the main function of most examples is: runs `example` on an io_context, with a configuration for a private server,
/// or for the one that the option --database names. The table is "pgstate_example_" and the program's name; it may have
/// rows of an earlier run.
/// Returns the program's exit code: 1 where something was thrown, which is printed.
int run_example(int argc, const char* const* argv,
                const std::function<boost::asio::awaitable<void>(pgstate::config)>& example);

/// The same for an example that makes its event loop by itself.
int run_blocking_example(int argc, const char* const* argv,
                         const std::function<void(pgstate::config)>& example);

/// Throws where an example does not show what it says.
void expect(bool holds, const char* what);

#endif
