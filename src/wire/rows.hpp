#ifndef PGSTATE_WIRE_ROWS_HPP
#define PGSTATE_WIRE_ROWS_HPP

#include "pgstate/agent_state.hpp"
#include "wire/statement.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct pg_result; // libpq's PGresult

namespace pgstate::wire {

/// The time for the server's number, which counts from 2000. Infinity, and what lies beyond the clock's range, is
/// timestamp::max(); -infinity is timestamp::min().
timestamp clock_time(std::int64_t number) noexcept;

/// The rows a statement gave, in binary format, shared by all who wait for one of them. Immutable, so any thread may
/// read. A value of another type or length than the reader expects throws error corrupt_state.
class rows {
public:
    rows() = default;
    explicit rows(std::shared_ptr<pg_result> result) noexcept : result_(std::move(result)) {}

    int size() const noexcept;
    int columns() const noexcept;
    /// Rows that a statement without a result set changed.
    std::int64_t affected() const noexcept;
    /// Of all values; a NULL of a type of fixed size counts as a value.
    std::size_t bytes() const noexcept;

    bool is_null(int row, int column) const;
    std::string_view text(int row, int column) const;
    std::string_view jsonb(int row, int column) const;
    std::int64_t int8(int row, int column) const;
    /// A transaction's number: xid8, of 64 bits, and xid, its lower 32.
    std::uint64_t xid8(int row, int column) const;
    std::uint32_t xid(int row, int column) const;
    wire::uuid uuid(int row, int column) const;
    bool boolean(int row, int column) const;
    /// The server's number as it stands: no time, but what a page can go on with, whatever is in the row. NULL is 1970's.
    timestamp server_time(int row, int column) const;
    /// By clock_time(). NULL reads as 1970.
    timestamp timestamptz(int row, int column) const {
        return clock_time(server_time(row, column).time_since_epoch().count());
    }

private:
    std::string_view raw(int row, int column) const;

    std::shared_ptr<pg_result> result_;
};

/// What the server refused.
struct server_error {
    std::string sqlstate; ///< five characters; empty when libpq itself gave up
    std::string message;  ///< the primary message, without detail, hint or context: those quote contents
};

/// How an exchange ended.
struct reply {
    enum class status {
        ok,      ///< committed; `data` has the rows
        refused, ///< the server said no and the transaction is rolled back; `failure` says why
        broken,  ///< the connection is lost and with it the outcome; `failure` says what is known
    };
    status outcome = status::broken;
    rows data;
    rows before; ///< of the step that tells (wire::step), if one was sent to run before it
    server_error failure;
    bool refused_before = false; ///< what was refused is one of those that were sent to run before it
};

} // namespace pgstate::wire

#endif
