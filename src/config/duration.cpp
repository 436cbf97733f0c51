#include "config/duration.hpp"

#include "config/number.hpp"

#include <array>
#include <cstdint>
#include <limits>

namespace pgstate::settings {
namespace {

struct unit {
    std::string_view name;
    std::uint64_t nanoseconds;
};

// Longer names first where one begins with another.
constexpr std::array<unit, 8> units{{
    {"ns", 1},
    {"us", 1'000},
    {"\xC2\xB5s", 1'000}, // the micro sign
    {"\xCE\xBCs", 1'000}, // the Greek letter
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"h", 3'600'000'000'000},
}};

std::string_view take_digits(std::string_view& text) {
    const auto end = text.find_first_not_of("0123456789");
    const auto digits = text.substr(0, end);
    text.remove_prefix(digits.size());
    return digits;
}

const unit* take_unit(std::string_view& text) {
    for (const auto& candidate : units) {
        if (text.starts_with(candidate.name)) {
            text.remove_prefix(candidate.name.size());
            return &candidate;
        }
    }
    return nullptr;
}

/// Adds up nanoseconds, up to what a signed 64-bit count holds.
class total {
public:
    [[nodiscard]] bool add(std::uint64_t count, std::uint64_t each) {
        if (count > (limit - sum_) / each) return false;
        sum_ += count * each;
        return true;
    }

    /// Adds 0.DIGITS of `each`.
    [[nodiscard]] bool add_fraction(std::string_view digits, std::uint64_t each) {
        std::uint64_t part = 0;
        // From the last digit up nothing can overflow, however many there are.
        for (auto at = digits.size(); at-- > 0;) {
            part += static_cast<std::uint64_t>(digits[at] - '0') * each;
            cut_ = cut_ || part % 10 != 0;
            part /= 10;
        }
        return add(part, 1);
    }

    std::chrono::milliseconds rounded_up() const {
        const auto whole = sum_ / 1'000'000;
        const bool more = cut_ || sum_ % 1'000'000 != 0;
        return std::chrono::milliseconds(static_cast<std::int64_t>(whole + (more ? 1 : 0)));
    }

private:
    static constexpr std::uint64_t limit = std::numeric_limits<std::int64_t>::max();
    std::uint64_t sum_ = 0;
    bool cut_ = false; // less than a nanosecond was left over
};

} // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    if (text == "0") return std::chrono::milliseconds(0);
    if (text.empty()) return std::nullopt;

    total sum;
    while (!text.empty()) {
        const auto digits = take_digits(text);
        std::string_view fraction;
        if (text.starts_with('.')) {
            text.remove_prefix(1);
            fraction = take_digits(text);
        }
        if (digits.empty() && fraction.empty()) return std::nullopt;
        const auto* each = take_unit(text);
        if (each == nullptr) return std::nullopt;

        const auto count = digits.empty() ? 0 : parse_number(digits);
        if (!count || !sum.add(*count, each->nanoseconds) || !sum.add_fraction(fraction, each->nanoseconds))
            return std::nullopt;
    }
    return sum.rounded_up();
}

} // namespace pgstate::settings
