#pragma once

#include <pgstate/error.hpp>
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

/// Why the server refused SQL that had `document` in it, without a sentence that may quote it.
boost::asio::awaitable<std::string> refusal_of_document(postgres_store& store, const error& e,
                                                        std::string_view document);

/// "agent "a", session "s"", control characters escaped.
std::string name_of(const std::string& agent, const std::string& session);

} // namespace pgstate::cli
