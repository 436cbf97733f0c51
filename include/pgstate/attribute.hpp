#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

namespace pgstate {

/// The value of an attribute. Text is only lent for the call that it is passed to: copy what is kept.
using attribute_value = std::variant<bool, std::int64_t, double, std::string_view>;

/// A named value of a log record, a metric or a span. Names follow OpenTelemetry's semantic conventions where one exists
/// (opentelemetry.io/docs/specs/semconv/database), and start with "pgstate." otherwise.
///
/// No attribute ever holds a password, a statement's parameters or any part of a state. Agent and session ids occur in
/// log records only, and only where `config.telemetry.log_ids` allows it.
struct attribute {
    std::string_view key;  ///< lent for the call
    attribute_value value; ///< text in it likewise
};

} // namespace pgstate
