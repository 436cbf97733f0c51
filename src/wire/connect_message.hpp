#ifndef PGSTATE_WIRE_CONNECT_MESSAGE_HPP
#define PGSTATE_WIRE_CONNECT_MESSAGE_HPP

#include "wire/rows.hpp"

#include <string>
#include <string_view>

namespace pgstate::wire {

/// Takes a verbose message of a failed connect apart ("... failed: FATAL:  28P01: password authentication failed ..."
/// and a LOCATION line): libpq gives no SQLSTATE for it any other way.
server_error parse_connect_failure(std::string_view message);

/// What to tell of libpq's refusal of a connection string. Only messages that name an option are passed on: the others
/// quote pieces of the string, which may be the password; so may a name that stands behind one, as in
/// `password=two words=1` or `postgres://u:a?b=1@host`.
std::string conninfo_refusal(std::string_view message, std::string_view conninfo = {});

/// Whether trying again cannot help until somebody changes something: a wrong password, no such database or role.
bool is_permanent_connect_failure(std::string_view sqlstate);

} // namespace pgstate::wire

#endif
