#ifndef PGSTATE_BENCH_HISTOGRAM_HPP
#define PGSTATE_BENCH_HISTOGRAM_HPP

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace bench {

/// Latencies in buckets whose width grows with the value: a quantile is off by less than half a percent, and the size
/// does not depend on how many there are.
class histogram {
public:
    void add(std::chrono::nanoseconds latency) noexcept {
        const auto value = std::clamp<std::int64_t>(latency.count(), 0, limit - 1);
        ++buckets_[index_of(static_cast<std::uint64_t>(value))];
        ++count_;
        longest_ = std::max(longest_, latency);
    }

    void add(const histogram& other) noexcept {
        for (std::size_t i = 0; i < buckets_.size(); ++i)
            buckets_[i] += other.buckets_[i];
        count_ += other.count_;
        longest_ = std::max(longest_, other.longest_);
    }

    /// The latency that the share `q` (0 to 1) does not exceed; 0 when there is none.
    std::chrono::nanoseconds quantile(double q) const noexcept {
        const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(count_));
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            seen += buckets_[i];
            if (seen > rank) return std::min(middle_of(i), longest_);
        }
        return longest_;
    }

    std::uint64_t count() const noexcept { return count_; }
    std::chrono::nanoseconds longest() const noexcept { return longest_; }

private:
    static constexpr int detail_bits = 7; ///< each doubling of the value has 128 buckets
    static constexpr int limit_bits = 42; ///< longer than an hour counts as an hour
    static constexpr std::int64_t limit = std::int64_t{1} << limit_bits;

    static std::size_t index_of(std::uint64_t value) noexcept {
        const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - detail_bits - 1);
        return (static_cast<std::size_t>(shift) << detail_bits) + static_cast<std::size_t>(value >> shift);
    }

    static std::chrono::nanoseconds middle_of(std::size_t index) noexcept {
        constexpr std::size_t per_doubling = std::size_t{1} << detail_bits;
        const std::size_t shift = index < 2 * per_doubling ? 0 : (index >> detail_bits) - 1;
        const std::uint64_t low = std::uint64_t{index - (shift << detail_bits)} << shift;
        return std::chrono::nanoseconds(low + (std::uint64_t{1} << shift) / 2);
    }

    std::array<std::uint64_t, static_cast<std::size_t>(limit_bits - detail_bits + 1) << detail_bits>
        buckets_{};
    std::uint64_t count_ = 0;
    std::chrono::nanoseconds longest_{0};
};

} // namespace bench

#endif
