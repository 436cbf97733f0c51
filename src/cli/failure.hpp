#pragma once

#include <pgstate/error.hpp>
#include <pgstate/operations.hpp>
#include <pgstate/postgres_store.hpp>

#include <boost/asio/awaitable.hpp>

#include <stdexcept>
#include <string>
#include <string_view>

namespace pgstate::cli {

/// Scripts depend on these; README lists them.
namespace exit_code {
inline constexpr int ok = 0;
inline constexpr int failed = 1;
inline constexpr int usage = 2;
inline constexpr int not_found = 3;
inline constexpr int conflict = 4;
inline constexpr int unavailable = 5;
inline constexpr int outcome_unknown = 6;
inline constexpr int signalled = 128; ///< plus the signal's number
} // namespace exit_code

/// What the program itself refuses.
class failure : public std::runtime_error {
public:
    failure(int code, const std::string& what) : runtime_error(what), code_(code) {}
    int code() const noexcept { return code_; }

private:
    int code_;
};

int exit_code_of(const error& e);

/// For people: what() and, where this program can help, what to do.
std::string message_of(const error& e);

/// What a document is refused for, before it is sent.
inline constexpr auto nul_character = "holds a NUL character (\\u0000), which PostgreSQL cannot store";

/// Why the server refused SQL that had a document in it, without a sentence that may quote it.
boost::asio::awaitable<std::string> refusal_of_document(postgres_store& store, const error& e);

/// Says on standard error that a state is left out.
void report_skipped(const state_key& key, const std::string& why);

/// "agent "a", session "s"", control characters escaped.
std::string name_of(const std::string& agent, const std::string& session);

} // namespace pgstate::cli
