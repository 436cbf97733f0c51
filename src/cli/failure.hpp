#pragma once

#include <pgstate/error.hpp>

#include <stdexcept>
#include <string>

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

/// What the server said of SQL that had a document in it, without the sentence, which may quote the document.
std::string refusal_of_document(const error& e);

/// "agent "a", session "s"", control characters escaped.
std::string name_of(const std::string& agent, const std::string& session);

} // namespace pgstate::cli
