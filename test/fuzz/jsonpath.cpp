// SQL/JSON paths: a text is one or its first fault is named, and what it gives for a document is the same each time.

#include "store/jsonpath.hpp"

#include "fuzz/fuzz.hpp"
#include "pgstate/error.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <optional>
#include <string_view>

namespace {

using pgstate::store::jsonpath;
using pgstate_fuzz::require;

const boost::json::value& document() {
    static const auto parsed = boost::json::parse(R"({
        "agent_id": "a", "session_id": "s", "version": 3,
        "data": {"n": 1, "d": 1.5, "big": 9007199254740993, "list": [1, 2, [3, "x"], {"k": null}], "e": "", "b": true},
        "history": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "abc 123"}],
        "context": {}, "created_at": "2024-01-01T00:00:00Z"})");
    return parsed;
}

/// Nothing: not evaluated in memory.
std::optional<jsonpath::truth> evaluate(const jsonpath& path) {
    try {
        return path.matches(document(), "find");
    } catch (const pgstate::error& e) {
        require(e == pgstate::errc::invalid_argument, "what is not evaluated is an invalid argument");
        return std::nullopt;
    }
}

void use_path(std::string_view text) {
    const auto fault = jsonpath::first_fault(text);
    if (fault) {
        require(fault->offset <= text.size(), "a fault is in the text or at its end");
        require(fault->character <= text.size() + 1, "so is it by characters");
        require(!fault->message.empty(), "a fault has words");
    }
    try {
        const auto path = jsonpath::parse(text, "find");
        require(!fault, "a text with a fault is no path");
        const auto first = evaluate(path);
        const auto copy = path;
        require(evaluate(copy) == first, "a path gives the same each time");
    } catch (const pgstate::error& e) {
        require(e == pgstate::errc::invalid_argument, "what is no path is an invalid argument");
        require(fault && std::string_view(e.what()).ends_with(fault->message),
                "the error says what the fault is");
    }
}

const pgstate_fuzz::target registered("jsonpath", use_path);

} // namespace
