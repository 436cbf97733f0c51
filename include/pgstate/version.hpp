#pragma once

#include "pgstate/detail/export.hpp"

// The version of these headers. It stands here alone: CMake reads these three lines.
#define PGSTATE_VERSION_MAJOR 0
#define PGSTATE_VERSION_MINOR 1
#define PGSTATE_VERSION_PATCH 0

/// As a number that grows with each version: 1.2.3 is 10203.
#define PGSTATE_VERSION (PGSTATE_VERSION_MAJOR * 10000 + PGSTATE_VERSION_MINOR * 100 + PGSTATE_VERSION_PATCH)

#define PGSTATE_DETAIL_QUOTE(number) #number
#define PGSTATE_DETAIL_VERSION(major, minor, patch)                                                          \
    PGSTATE_DETAIL_QUOTE(major) "." PGSTATE_DETAIL_QUOTE(minor) "." PGSTATE_DETAIL_QUOTE(patch)

/// As text: "1.2.3".
#define PGSTATE_VERSION_STRING                                                                               \
    PGSTATE_DETAIL_VERSION(PGSTATE_VERSION_MAJOR, PGSTATE_VERSION_MINOR, PGSTATE_VERSION_PATCH)

namespace pgstate {

/// The version of the library that the program runs with, which a shared library brings along by itself: compare it with
/// PGSTATE_VERSION, which the program was compiled with.
PGSTATE_API int version() noexcept;

} // namespace pgstate
