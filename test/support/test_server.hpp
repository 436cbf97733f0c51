#ifndef PGSTATE_TEST_SUPPORT_TEST_SERVER_HPP
#define PGSTATE_TEST_SUPPORT_TEST_SERVER_HPP

#include "pgstate/embedded_server.hpp"

#include <string>

namespace pgstate_test {

/// The server that all tests of this process share: started at the first call, stopped when the process
/// exits. Do not stop it, nor change its settings: a test that has to makes a server of its own.
pgstate::embedded_server& server();

/// A connection string (a URI over the Unix socket, which has parameters: add with "&") of a new empty
/// database on `server()`, for one test case to have to itself. Any thread may call this.
std::string fresh_database();

/// The name of a new empty database on `server()`, where a test wants `server().tcp_connection_string(name)`,
/// say.
std::string fresh_database_name();

} // namespace pgstate_test

#endif
