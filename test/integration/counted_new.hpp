#ifndef PGSTATE_TEST_COUNTED_NEW_HPP
#define PGSTATE_TEST_COUNTED_NEW_HPP

#include <cstddef>

namespace pgstate_test {

/// How often this thread has called operator new, by whatever name. This program has its own, in front of the C++
/// library's.
std::size_t allocations() noexcept;

/// While it lives, this thread's allocations fail, but for the first `allowed`.
class failing_allocations {
public:
    explicit failing_allocations(std::size_t allowed) noexcept;
    failing_allocations(const failing_allocations&) = delete;
    ~failing_allocations();
    /// How many have failed.
    std::size_t failed() const noexcept;
};

} // namespace pgstate_test

#endif
