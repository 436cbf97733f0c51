#ifndef PGSTATE_BENCH_GENERATOR_HPP
#define PGSTATE_BENCH_GENERATOR_HPP

#include <cstdint>

namespace bench {

/// A cheap random generator (splitmix64): eight bytes for each of very many callers.
class generator {
public:
    explicit generator(std::uint64_t seed) noexcept : state_(seed) {}

    std::uint64_t next() noexcept {
        state_ += 0x9E3779B97F4A7C15U;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        return z ^ (z >> 31);
    }

    /// A number from 0 to `end` - 1.
    std::uint32_t below(std::uint32_t end) noexcept {
        return static_cast<std::uint32_t>(((next() >> 32) * end) >> 32);
    }

private:
    std::uint64_t state_;
};

} // namespace bench

#endif
