#ifndef PGSTATE_TEST_FAULT_SOAK_ARGUMENTS_HPP
#define PGSTATE_TEST_FAULT_SOAK_ARGUMENTS_HPP

#include <cstdint>
#include <optional>

namespace pgstate_test {

struct soak_arguments {
    double minutes = 1;
    unsigned clients = 64;
    std::uint64_t seed = 0;
    double fault_every = 2;       ///< seconds
    unsigned erases = 4;          ///< percent of the operations
    bool guard = false;           ///< schema.guard
    bool rows = false;            ///< history_layout::rows, and operations on histories and checkpoints
    unsigned foreign_writers = 0; ///< sessions of the Go SDK's SQL
    unsigned impatient = 0;       ///< clients with short time-outs, who cancel
    bool verbose = false;
};

/// Nothing: help was asked for, and printed. Throws boost::program_options::error.
std::optional<soak_arguments> parse_soak_arguments(int argc, const char* const* argv);

} // namespace pgstate_test

#endif
