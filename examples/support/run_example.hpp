#ifndef PGSTATE_EXAMPLES_RUN_EXAMPLE_HPP
#define PGSTATE_EXAMPLES_RUN_EXAMPLE_HPP

#include <pgstate/config.hpp>

#include <boost/asio/awaitable.hpp>

#include <functional>

/// What the main function of most examples is: runs `example` on an io_context, with a configuration for the server that
/// DATABASE_URL names, or for a private one. Its table is "pgstate_examples", which it may find filled by another.
/// Returns the program's exit code: 1 where something was thrown, which is printed after the program's `name`.
int run_example(const char* name,
                const std::function<boost::asio::awaitable<void>(pgstate::config)>& example);

/// The same for an example that makes its event loop by itself.
int run_blocking_example(const char* name, const std::function<void(pgstate::config)>& example);

/// Throws where an example does not show what it says.
void expect(bool holds, const char* what);

#endif
