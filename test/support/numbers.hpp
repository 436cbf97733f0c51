#ifndef PGSTATE_TEST_NUMBERS_HPP
#define PGSTATE_TEST_NUMBERS_HPP

#include <boost/json/value.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <variant>

namespace pgstate_test {

using added_number = std::variant<std::int64_t, double>; ///< what `increment` takes

/// Numbers that a state can hold, of each size and kind, and near every bound.
class random_numbers {
public:
    explicit random_numbers(unsigned seed) : random_(seed) {}

    std::mt19937_64& engine() noexcept { return random_; }
    std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }

    boost::json::value number() {
        switch (below(4)) {
        case 0: return integer();
        case 1: return static_cast<std::uint64_t>(integer());
        default: return real();
        }
    }
    added_number addend() {
        if (below(2) == 0) return integer();
        return real();
    }

private:
    std::int64_t integer() {
        using limits = std::numeric_limits<std::int64_t>;
        const auto small = static_cast<std::int64_t>(below(7)) - 3;
        switch (below(4)) {
        case 0: return small;
        case 1: return small < 0 ? limits::max() + small : limits::min() + small;
        case 2: return (std::int64_t{1} << 53) + small;
        default: return static_cast<std::int64_t>(random_()) >> below(64);
        }
    }

    double real() {
        constexpr auto most = std::numeric_limits<double>::max();
        constexpr std::array some{0.0,
                                  -0.0,
                                  0.5,
                                  0.1,
                                  0.30000000000000004,
                                  1.0,
                                  5e-324,
                                  2.2250738585072014e-308,
                                  most,
                                  -most,
                                  0x1p970,
                                  1e21,
                                  1e23,
                                  0x1p64,
                                  0x1.8p69,
                                  123456.79};
        switch (below(4)) {
        case 0: return some.at(below(some.size()));
        case 1: return static_cast<double>(integer());
        case 2: // a few digits, some of which lie halfway between two doubles
            return static_cast<double>(integer() >> (8 * below(7))) *
                   std::pow(10.0, static_cast<double>(below(35)) - 9);
        default: break;
        }
        for (;;) // bits at random
            if (const auto value = std::bit_cast<double>(random_()); std::isfinite(value)) return value;
    }

    std::mt19937_64 random_;
};

} // namespace pgstate_test

#endif
