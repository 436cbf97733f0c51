#pragma once

#include "pgstate/error.hpp"
#include "pgstate/tracer.hpp"
#include "telemetry/names.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::telemetry {

using clock = std::chrono::steady_clock;

/// Whether a time below is that of something which happened: `{}` is never.
constexpr bool happened(clock::time_point at) noexcept {
    return at != clock::time_point();
}

/// A statement that was sent; its operations share it. Complete before any of them is answered.
struct sent_statement {
    operation_id operation{};
    std::string summary;        ///< "INSERT agent_states"
    std::string name;           ///< of the prepared statement; empty: it has none
    std::size_t operations = 1; ///< that share it
    std::size_t attempt = 1;
    clock::time_point sent;
    clock::time_point oldest; ///< when the first of those that were not sent before was called; {}: all were
    std::vector<span_context> callers; ///< the spans of its operations, where they have one
};

/// How it ended.
struct statement_outcome {
    clock::time_point answered;
    int rows = 0;
    std::string error;                           ///< a SQLSTATE, "connection_lost", or empty
    std::string_view sent_again_because;         ///< empty: not sent again
    std::optional<clock::duration> acquire_wait; ///< of the connection, where this was the first to use it
};

/// An operation that is over. It went through statements, or had a connection to itself, or got neither.
struct operation_report {
    operation_id operation{};
    clock::time_point began;
    clock::time_point acquired;   ///< its connection
    clock::time_point first_sent; ///< by the first statement that carried it
    clock::time_point answered;
    clock::time_point ended;
    std::shared_ptr<const sent_statement> statement; ///< the last one that carried it
    std::size_t statements = 0;
    std::string_view agent_id;
    std::string_view session_id;
    const error* failure = nullptr;
    bool failing = false; ///< it failed the last time as well, which has been logged
};

} // namespace pgstate::telemetry
