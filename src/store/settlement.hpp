#ifndef PGSTATE_STORE_SETTLEMENT_HPP
#define PGSTATE_STORE_SETTLEMENT_HPP

#include "batch/dialect.hpp"

#include <atomic>
#include <cstdint>
#include <optional>

namespace pgstate::store {

/// Names for statements that write. Each row keeps the name of the last statement that wrote it; so a store whose
/// connection broke can find out whether its write took effect.
///
/// A name is a positive number: 31 bits that are the store's, drawn by chance, and 32 that count. A store that has used
/// them up draws a new number. Thread safety: next(), from any thread.
class write_names {
public:
    write_names();

    std::int64_t next() noexcept;

    /// True where both are one store's and `a` was given out before `b`.
    static bool earlier(std::int64_t a, std::int64_t b) noexcept { return (a >> 32) == (b >> 32) && a < b; }

private:
    std::atomic<std::int64_t> last_;
};

/// What is known of a write that may have been applied.
struct write_evidence {
    std::int64_t name = 0;                    ///< of the statement that it was sent in
    std::optional<std::int64_t> if_version{}; ///< it was to be applied over this version only
    bool fenced = false; ///< the server's process that had it has ended: nothing more will happen
    bool there = false;  ///< there is a row, expired or not; if so:
    std::optional<std::int64_t> last_writer{}; ///< the name in it; nothing: its writer leaves none
    std::int64_t version = 0;
    /// What the server's clock showed at the least when the write was sent, as versions count; 0: not known.
    std::int64_t sent = 0;
};

/// Was it applied? A store sends the writes of one key one after the other; so a row that an earlier write of the same
/// store made, or that has the version which the write was to replace, has not seen it. Nor has one whose version is
/// older than the write: versions are of the server's clock, or more, and grow. A row that is gone, or that somebody else
/// wrote later, may have.
batch::settlement judge(const write_evidence& evidence) noexcept;

} // namespace pgstate::store

#endif
