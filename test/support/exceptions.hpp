#ifndef PGSTATE_TEST_EXCEPTIONS_HPP
#define PGSTATE_TEST_EXCEPTIONS_HPP

#include <cstddef>

namespace pgstate_test {

/// How many exceptions this process has made so far: thrown, or put into an exception_ptr. Of every thread.
std::size_t exceptions_made() noexcept;

} // namespace pgstate_test

#endif
