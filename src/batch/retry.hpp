#ifndef PGSTATE_BATCH_RETRY_HPP
#define PGSTATE_BATCH_RETRY_HPP

#include "batch/life.hpp"
#include "wire/rows.hpp"

#include <cstddef>
#include <string_view>

namespace pgstate::batch {

/// A statement that did not succeed.
struct incident {
    std::size_t operations = 1; ///< that shared the statement
    std::size_t attempts = 1;   ///< how often it has been sent, this time included
    bool broken = false;        ///< the connection was lost, rather than the statement refused
    bool time_limited = false;  ///< its time on the server was cut to that of its callers
    bool locks_limited = false; ///< so was the time to wait for a lock
    bool settles = false; ///< it was to find out about a write in doubt, or to end the process that had it
    wire::server_error failure{};
};

/// The retry table: what it means for each of the operations.
event classify(const incident& what);

/// The connection is no good for this statement, though it may be for others.
bool blames_connection(std::string_view sqlstate) noexcept;

/// What telemetry calls it when operations are sent again; empty: they are not.
std::string_view reason_to_send_again(event what) noexcept;

} // namespace pgstate::batch

#endif
