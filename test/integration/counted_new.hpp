#ifndef PGSTATE_TEST_COUNTED_NEW_HPP
#define PGSTATE_TEST_COUNTED_NEW_HPP

#include <cstddef>

namespace pgstate_test {

/// How often this thread has called operator new, by whatever name. This program has its own, in front of the C++
/// library's.
std::size_t allocations() noexcept;

} // namespace pgstate_test

#endif
