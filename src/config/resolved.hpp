#pragma once

#include "config/table_identifier.hpp"
#include "pgstate/config.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace pgstate::settings {

/// The longest duration in a resolved_config; longer ones mean "never" and are cut to this, so that a few of them
/// added to a time point do not overflow.
inline constexpr std::chrono::milliseconds longest_duration = std::chrono::hours(24 * 36'525);

/// The most that config.pending can say.
inline constexpr std::size_t most_pending_operations = 10'000'000;
inline constexpr std::size_t most_pending_bytes = std::size_t{1} << 39;

/// A `config` that has been read once and found valid. The layers below the store take this and check nothing again.
struct resolved_config {
    /// The connection string without its pool_* settings, otherwise as the user wrote it. May be empty: libpq's
    /// defaults. Holds the password.
    std::string libpq_conninfo;
    /// The connection string has a `connect_timeout`: it takes the place of `pool.connect_timeout`.
    bool connect_timeout_given = false;
    /// max_conns is never 0; the connection string's pool_* settings are in.
    pool_config pool;
    batch_config batch;
    pending_config pending;
    schema_config schema;
    history_config history; ///< of at most that many: any number is 0
    sweep_config sweep;
    table_identifier table;
    std::chrono::milliseconds operation_timeout{0}; ///< 0: no limit
    std::chrono::milliseconds default_ttl{0};       ///< 0: states do not expire by themselves
    statement_mode statements = statement_mode::prepared;
    std::chrono::milliseconds lock_wait{0};
    std::vector<session_setting> session_settings; ///< names are those of settings, and distinct
    std::shared_ptr<pgstate::logger> logger;
    std::shared_ptr<pgstate::metrics> metrics;
    std::shared_ptr<pgstate::tracer> tracer;
    telemetry_config telemetry;
};

/// Checks every setting, and merges the connection string's over `input.pool`.
/// \throws error invalid_argument - names the setting and its range, never the rest of the connection string
resolved_config resolve(const config& input);

} // namespace pgstate::settings
