#pragma once

#include "wire/statement.hpp"

#include <atomic>
#include <cstdint>

namespace pgstate::sql {

/// Names for statements that write. Each row keeps the name of the statement that wrote it last, so that a store whose
/// connection broke can find out whether its write was applied.
///
/// A name is 16 bytes, a uuid to the server: the number of the store, 8 bytes drawn by chance, and the number of the
/// statement, 8 bytes that count. Thread safety: next(), from any thread.
class write_names {
public:
    write_names();

    wire::uuid next() noexcept;

    /// Whether both are of one store and `a` was given out before `b`.
    static bool earlier(const wire::uuid& a, const wire::uuid& b) noexcept;

private:
    const std::uint64_t store_;
    std::atomic<std::uint64_t> last_{0};
};

} // namespace pgstate::sql
