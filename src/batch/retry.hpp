#ifndef PGSTATE_BATCH_RETRY_HPP
#define PGSTATE_BATCH_RETRY_HPP

#include "wire/rows.hpp"

#include <cstddef>
#include <string_view>

namespace pgstate::batch {

/// What to do with the operations of a statement that did not succeed.
enum class verdict {
    fail,          ///< tell the callers
    retry,         ///< send the same again after a pause
    retry_now,     ///< send the same again at once (the statement is prepared anew)
    retry_alone,   ///< send each by itself: only one of them may be to blame
    retry_another, ///< give the connection up and send the same on another
    settle,        ///< find out whether the write was applied
};

struct incident {
    bool write = false;
    std::size_t operations = 1; ///< that shared the statement
    std::size_t attempts = 1;   ///< how often it has been sent, this time included
    bool broken = false;        ///< the connection was lost, rather than the statement refused
    wire::server_error failure{};
};

/// How often a statement is sent before its failure is final, whatever the reason to try again.
inline constexpr std::size_t most_attempts = 6;

/// The retry table.
verdict decide(const incident& what);

/// What telemetry calls it when operations are sent again; empty: they are not.
std::string_view reason_to_send_again(verdict what) noexcept;

} // namespace pgstate::batch

#endif
