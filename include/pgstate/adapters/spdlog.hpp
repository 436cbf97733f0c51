#pragma once

#include "pgstate/logger.hpp"

#include <spdlog/fwd.h>

#include <memory>

namespace pgstate {

/// Writes to a spdlog logger. A record is one line: its message, and its attributes in logfmt:
///
///     operation failed db.operation.name=save error.type=conflict server.address="my host"
///
/// A value that is empty, or that holds white space, a quote, '=', a backslash or a control character, is put in double
/// quotes with C's escapes, so that no value starts a line or looks like another attribute.
///
/// Levels:        trace, debug, info, warn and error are spdlog's trace, debug, info, warn and err. Which are wanted is
///                asked of the spdlog logger each time, so that its level can change; while it keeps a backtrace, all are.
/// Thread safety: as much as the sinks of the spdlog logger: use those that end in "_mt".
/// Lifetime:      shares the spdlog logger. What is logged is copied before `log` returns, so it may be asynchronous.
class PGSTATE_API spdlog_logger final : public logger {
public:
    /// Writes to what is spdlog's default logger now.
    spdlog_logger();
    /// \throws error invalid_argument - `to` is null
    explicit spdlog_logger(std::shared_ptr<spdlog::logger> to);

    bool enabled(log_level level) const override;
    void log(const log_record& record) override;

private:
    std::shared_ptr<spdlog::logger> to_;
};

} // namespace pgstate
