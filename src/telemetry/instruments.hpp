#pragma once

#include "pgstate/metrics.hpp"

namespace pgstate::telemetry::instruments {

// The names under "db.client." and their units are OpenTelemetry's
// (opentelemetry.io/docs/specs/semconv/database/database-metrics). Every series also has the labels db.system.name,
// db.namespace and db.collection.name or db.client.connection.pool.name.

inline constexpr double seconds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                     0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
inline constexpr double operations[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};

/// Labels: db.operation.name; error.type where it failed.
inline constexpr instrument operation_duration{"db.client.operation.duration", "s",
                                               "From an operation's call to its completion.",
                                               instrument_kind::histogram, seconds};
/// Labels: db.operation.name. One value for each statement: of many that share it, the longest wait.
inline constexpr instrument queue_wait{"pgstate.queue.wait", "s",
                                       "How long the operations of a statement waited until it was sent.",
                                       instrument_kind::histogram, seconds};
/// Labels: db.operation.name; error.type where it was refused or its connection lost.
inline constexpr instrument statement_duration{"pgstate.statement.duration", "s",
                                               "From sending a statement to having its whole answer.",
                                               instrument_kind::histogram, seconds};
/// Labels: db.operation.name.
inline constexpr instrument batch_size{"pgstate.batch.size", "{operation}",
                                       "How many operations shared a statement.", instrument_kind::histogram,
                                       operations};
/// Labels: db.operation.name, pgstate.retry.reason.
inline constexpr instrument retries{"pgstate.retries", "{operation}",
                                    "Operations that were sent to the server again.",
                                    instrument_kind::counter};
/// Labels: none of its own.
inline constexpr instrument conflicts{"pgstate.conflicts", "{operation}",
                                      "Conditional writes that found another version.",
                                      instrument_kind::counter};
inline constexpr instrument swept{"pgstate.swept", "{state}", "States deleted after they had expired.",
                                  instrument_kind::counter};
inline constexpr instrument protected_states{
    "pgstate.sweep.protected", "{state}",
    "States that have expired and could not be deleted when that was last tried.", instrument_kind::gauge};
inline constexpr instrument queue_depth{"pgstate.queue.depth", "{operation}",
                                        "Operations accepted and not yet sent.", instrument_kind::gauge};
inline constexpr instrument pending_bytes{"pgstate.pending", "By",
                                          "Keys and documents of the operations accepted and not completed.",
                                          instrument_kind::gauge};
/// Labels: network.io.direction, "transmit" or "receive".
inline constexpr instrument bytes{"pgstate.io", "By",
                                  "Parameters sent and values received, without the protocol around them.",
                                  instrument_kind::counter};

/// Labels: db.client.connection.state: "idle", "used", or "connecting".
inline constexpr instrument connection_count{"db.client.connection.count", "{connection}",
                                             "Connections of the pool by what they are doing.",
                                             instrument_kind::gauge};
inline constexpr instrument connection_max{"db.client.connection.max", "{connection}",
                                           "The most connections the pool may have.", instrument_kind::gauge};
inline constexpr instrument pending_requests{"db.client.connection.pending_requests", "{request}",
                                             "Requests for a connection that wait for one.",
                                             instrument_kind::gauge};
inline constexpr instrument acquire_wait{"db.client.connection.wait_time", "s",
                                         "How long a request for a connection waited until it had one.",
                                         instrument_kind::histogram, seconds};
inline constexpr instrument acquire_timeouts{
    "db.client.connection.timeouts", "{timeout}",
    "Operations that gave up waiting for a connection, as all were in use.", instrument_kind::counter};
inline constexpr instrument create_time{"db.client.connection.create_time", "s",
                                        "How long it took to make a connection.", instrument_kind::histogram,
                                        seconds};
/// Labels: error.type.
inline constexpr instrument connect_failures{"pgstate.connect.failures", "{connection}",
                                             "Attempts to make a connection that failed.",
                                             instrument_kind::counter};

} // namespace pgstate::telemetry::instruments
