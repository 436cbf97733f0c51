#ifndef PGSTATE_POOL_SQL_ERROR_HPP
#define PGSTATE_POOL_SQL_ERROR_HPP

#include <functional>
#include <string>
#include <string_view>

namespace pgstate::pool {

/// The server's own sentence in what libpqxx throws: the first line without its severity. The lines after it (DETAIL,
/// the statement, CONTEXT) can hold a state's content and never go into an error.
std::string primary_message(std::string_view what);

/// The server's hint, where it is the line after the first one: behind a DETAIL or a statement, which can quote anything, what
/// looks like a hint need not be one. Empty: there is none, or the server's language is not English.
std::string_view hint_in(std::string_view what);

/// Throws the exception being handled as a pgstate::error. A pgstate::error and whatever libpqxx and the server have
/// nothing to do with is thrown as it is.
/// \pre called from a catch block
/// Errors: unavailable - the connection is lost, and nothing was being committed; with its SQLSTATE if it had one
///         outcome_unknown - the connection was lost during a commit
///         any SQLSTATE - what the server refused
/// \param advice  what to do about a SQLSTATE, if anything is known: put after the server's sentence
[[noreturn]] void rethrow_as_error(std::string_view operation,
                                   const std::function<std::string(std::string_view sqlstate)>& advice = {});

/// The same for what a user's function threw: cause() always has the original, and what has nothing to do with SQL is
/// callback_failed.
/// \pre called from a catch block
[[noreturn]] void rethrow_callback_failure(std::string_view operation);

} // namespace pgstate::pool

#endif
