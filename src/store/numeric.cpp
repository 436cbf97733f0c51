#include "store/numeric.hpp"

#include "store/json_number.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <system_error>
#include <utility>

namespace pgstate::store {
namespace {

using numeric_limbs = std::vector<std::uint32_t>;

constexpr std::uint32_t limb_base = 1'000'000'000;
constexpr std::size_t limb_digits = 9;

void trim(numeric_limbs& a) {
    while (!a.empty() && a.back() == 0)
        a.pop_back();
}

std::strong_ordering compare(const numeric_limbs& a, const numeric_limbs& b) {
    if (a.size() != b.size()) return a.size() <=> b.size();
    for (std::size_t i = a.size(); i-- > 0;)
        if (a[i] != b[i]) return a[i] <=> b[i];
    return std::strong_ordering::equal;
}

void multiply_add(numeric_limbs& a, std::uint32_t factor, std::uint32_t carry) {
    std::uint64_t rest = carry;
    for (auto& limb : a) {
        rest += std::uint64_t{limb} * factor;
        limb = static_cast<std::uint32_t>(rest % limb_base);
        rest /= limb_base;
    }
    if (rest != 0) a.push_back(static_cast<std::uint32_t>(rest));
    trim(a);
}

numeric_limbs sum_of(numeric_limbs a, const numeric_limbs& b) {
    a.resize(std::max(a.size(), b.size()) + 1);
    std::uint32_t carry = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const std::uint32_t sum = a[i] + (i < b.size() ? b[i] : 0) + carry;
        carry = sum >= limb_base;
        a[i] = carry ? sum - limb_base : sum;
    }
    trim(a);
    return a;
}

/// \pre a >= b
numeric_limbs difference_of(numeric_limbs a, const numeric_limbs& b) {
    std::uint32_t borrow = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const std::uint32_t less = (i < b.size() ? b[i] : 0) + borrow;
        borrow = a[i] < less;
        a[i] += (borrow ? limb_base : 0) - less;
    }
    trim(a);
    return a;
}

numeric_limbs product_of(const numeric_limbs& a, const numeric_limbs& b) {
    numeric_limbs product(a.size() + b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::uint64_t carry = 0;
        for (std::size_t j = 0; j < b.size() || carry != 0; ++j) {
            carry += product[i + j] + (j < b.size() ? std::uint64_t{a[i]} * b[j] : 0);
            product[i + j] = static_cast<std::uint32_t>(carry % limb_base);
            carry /= limb_base;
        }
    }
    trim(product);
    return product;
}

std::uint32_t divide_by_limb(numeric_limbs& a, std::uint32_t divisor) {
    std::uint64_t rest = 0;
    for (std::size_t i = a.size(); i-- > 0;) {
        rest = rest * limb_base + a[i];
        a[i] = static_cast<std::uint32_t>(rest / divisor);
        rest %= divisor;
    }
    trim(a);
    return static_cast<std::uint32_t>(rest);
}

/// Takes `quotient * b` from the limbs of `a` that begin at `at`; false, and nothing taken, if that is too much.
bool take_multiple(numeric_limbs& a, std::size_t at, const numeric_limbs& b, std::uint64_t quotient) {
    numeric_limbs part(a.begin() + static_cast<std::ptrdiff_t>(at), a.end());
    trim(part);
    numeric_limbs multiple = b;
    multiply_add(multiple, static_cast<std::uint32_t>(quotient), 0);
    if (compare(part, multiple) < 0) return false;
    part = difference_of(std::move(part), multiple);
    part.resize(a.size() - at);
    std::copy(part.begin(), part.end(), a.begin() + static_cast<std::ptrdiff_t>(at));
    return true;
}

struct division {
    numeric_limbs quotient;
    numeric_limbs rest;
};

/// Long division (Knuth's algorithm D). \pre b is not empty
division divide(numeric_limbs a, numeric_limbs b) {
    if (compare(a, b) < 0) return {{}, std::move(a)};
    if (b.size() == 1) {
        const std::uint32_t rest = divide_by_limb(a, b[0]);
        return {std::move(a), rest == 0 ? numeric_limbs{} : numeric_limbs{rest}};
    }
    // With a large first limb of the divisor, an estimate from its first two limbs is at most one too high.
    const std::uint32_t factor = limb_base / (b.back() + 1);
    multiply_add(a, factor, 0);
    multiply_add(b, factor, 0);
    const std::size_t steps = a.size() - b.size() + 1;
    a.push_back(0);
    numeric_limbs quotient(steps);
    const std::size_t n = b.size();
    for (std::size_t j = steps; j-- > 0;) {
        const std::uint64_t top = std::uint64_t{a[j + n]} * limb_base + a[j + n - 1];
        std::uint64_t estimate = std::min<std::uint64_t>(top / b[n - 1], limb_base - 1);
        std::uint64_t left = top - estimate * b[n - 1];
        while (left < limb_base && estimate * b[n - 2] > left * limb_base + a[j + n - 2]) {
            --estimate;
            left += b[n - 1];
        }
        while (!take_multiple(a, j, b, estimate))
            --estimate;
        quotient[j] = static_cast<std::uint32_t>(estimate);
        a.resize(j + n);
    }
    trim(quotient);
    trim(a);
    divide_by_limb(a, factor);
    return {std::move(quotient), std::move(a)};
}

numeric_limbs power_of_ten(std::size_t exponent) {
    numeric_limbs power(exponent / limb_digits);
    std::uint32_t top = 1;
    for (std::size_t i = 0; i < exponent % limb_digits; ++i)
        top *= 10;
    power.push_back(top);
    return power;
}

numeric_limbs limbs_of(std::uint64_t value) {
    numeric_limbs result;
    for (; value != 0; value /= limb_base)
        result.push_back(static_cast<std::uint32_t>(value % limb_base));
    return result;
}

numeric_limbs limbs_of_digits(std::string_view digits) {
    numeric_limbs result;
    for (std::size_t end = digits.size(); end > 0;) {
        const std::size_t begin = end > limb_digits ? end - limb_digits : 0;
        std::uint32_t limb = 0;
        std::from_chars(digits.data() + begin, digits.data() + end, limb);
        result.push_back(limb);
        end = begin;
    }
    trim(result);
    return result;
}

/// A literal as a number of digits, of which `scale` stand after the point, times 10^exponent.
struct numeric_literal {
    bool negative = false;
    std::string digits; ///< without leading zeros
    std::int64_t scale = 0;
};

/// Nothing for an exponent that no number has.
std::optional<numeric_literal> split(std::string_view literal) {
    numeric_literal result;
    result.negative = literal.starts_with('-');
    if (result.negative) literal.remove_prefix(1);
    const auto exponent_at = literal.find_first_of("eE");
    bool fraction = false;
    for (const char c : literal.substr(0, exponent_at)) {
        if (c == '_') continue;
        if (c == '.') {
            fraction = true;
            continue;
        }
        if (fraction) ++result.scale;
        if (!result.digits.empty() || c != '0') result.digits += c;
    }
    if (exponent_at == std::string_view::npos) return result;
    auto exponent_text = std::string(literal.substr(exponent_at + 1));
    std::erase(exponent_text, '_');
    if (exponent_text.starts_with('+')) exponent_text.erase(0, 1);
    std::int64_t exponent = 0;
    const char* end = exponent_text.data() + exponent_text.size();
    if (std::from_chars(exponent_text.data(), end, exponent).ec != std::errc()) return std::nullopt;
    if (std::abs(exponent) >= std::numeric_limits<std::int32_t>::max() / 2) return std::nullopt;
    result.scale -= exponent;
    return result;
}

std::uint32_t base_of(std::string_view literal) {
    if (literal.size() < 2 || literal[0] != '0') return 10;
    switch (literal[1]) {
    case 'x':
    case 'X': return 16;
    case 'o':
    case 'O': return 8;
    case 'b':
    case 'B': return 2;
    default: return 10;
    }
}

} // namespace

bool numeric_holds(std::string_view literal) {
    constexpr std::int64_t most_before_point = 131'072, most_after_point = 16'383;
    if (base_of(literal) != 10) return literal.size() < most_before_point / 2;
    const auto parts = split(literal);
    if (!parts || parts->scale > most_after_point) return false;
    return parts->digits.empty() ||
           static_cast<std::int64_t>(parts->digits.size()) - parts->scale <= most_before_point;
}

numeric::numeric(bool negative, limbs magnitude, std::size_t scale)
    : negative_(negative && !magnitude.empty()), magnitude_(std::move(magnitude)), scale_(scale) {
    if (scale_ > max_digits || magnitude_.size() * limb_digits > max_digits + scale_) throw too_long{};
}

numeric::numeric(std::int64_t value)
    : numeric(value < 0,
              limbs_of(value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value)),
              0) {}

numeric::numeric(std::uint64_t value) : numeric(false, limbs_of(value), 0) {}

numeric numeric::of_double(double value) {
    std::string text;
    append_double(text, value);
    return parse(text);
}

numeric numeric::parse(std::string_view literal) {
    if (const auto base = base_of(literal); base != 10) return parse_based(literal.substr(2), base);
    auto parts = split(literal);
    if (!parts || std::abs(parts->scale) > static_cast<std::int64_t>(max_digits)) throw too_long{};
    if (parts->scale < 0) {
        if (!parts->digits.empty()) parts->digits.append(static_cast<std::size_t>(-parts->scale), '0');
        parts->scale = 0;
    }
    return {parts->negative, limbs_of_digits(parts->digits), static_cast<std::size_t>(parts->scale)};
}

numeric numeric::parse_based(std::string_view digits, std::uint32_t base) {
    if (digits.size() > max_digits) throw too_long{};
    limbs magnitude;
    for (const char c : digits) {
        if (c == '_') continue;
        const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
        multiply_add(magnitude, base, static_cast<std::uint32_t>(digit));
    }
    return {false, std::move(magnitude), 0};
}

numeric numeric::operator-() const {
    return {!negative_, magnitude_, scale_};
}

numeric numeric::abs() const {
    return {false, magnitude_, scale_};
}

numeric numeric::rounded_to_integer(bool away_from_zero) const {
    auto [whole, rest] = divide(magnitude_, power_of_ten(scale_));
    if (away_from_zero && !rest.empty()) whole = sum_of(std::move(whole), {1});
    return {negative_, std::move(whole), 0};
}

numeric numeric::floor() const {
    return rounded_to_integer(negative_);
}

numeric numeric::ceiling() const {
    return rounded_to_integer(!negative_);
}

numeric numeric::trunc() const {
    return rounded_to_integer(false);
}

std::optional<std::int32_t> numeric::to_int32() const {
    if (magnitude_.size() > 2) return std::nullopt;
    std::int64_t value = 0;
    for (std::size_t i = magnitude_.size(); i-- > 0;)
        value = value * limb_base + magnitude_[i];
    if (negative_) value = -value;
    if (!std::in_range<std::int32_t>(value)) return std::nullopt;
    return static_cast<std::int32_t>(value);
}

std::string numeric::digits() const {
    std::string text;
    for (std::size_t i = magnitude_.size(); i-- > 0;) {
        const auto limb = std::to_string(magnitude_[i]);
        if (!text.empty()) text.append(limb_digits - limb.size(), '0');
        text += limb;
    }
    return text;
}

std::string numeric::to_string() const {
    std::string text = digits();
    if (text.size() <= scale_) text.insert(0, scale_ + 1 - text.size(), '0');
    if (scale_ != 0) text.insert(text.size() - scale_, 1, '.');
    if (negative_) text.insert(0, 1, '-');
    return text;
}

numeric::limbs numeric::scaled_to(std::size_t scale) const {
    return scale == scale_ ? magnitude_ : product_of(magnitude_, power_of_ten(scale - scale_));
}

numeric operator+(const numeric& a, const numeric& b) {
    const auto scale = std::max(a.scale_, b.scale_);
    auto left = a.scaled_to(scale), right = b.scaled_to(scale);
    if (a.negative_ == b.negative_) return {a.negative_, sum_of(std::move(left), right), scale};
    if (compare(left, right) < 0) return {b.negative_, difference_of(std::move(right), left), scale};
    return {a.negative_, difference_of(std::move(left), right), scale};
}

numeric operator*(const numeric& a, const numeric& b) {
    return {a.negative_ != b.negative_, product_of(a.magnitude_, b.magnitude_), a.scale_ + b.scale_};
}

/// The server's choice: sixteen significant digits at least, counted in its own groups of four digits around the point.
std::size_t numeric::quotient_scale(const numeric& a, const numeric& b) {
    constexpr int group = 4, significant_digits = 16, max_scale = 1000;
    struct leading {
        int weight = 0; ///< of the first group, 0 for that before the point
        int value = 0;
    };
    const auto leading_of = [](const numeric& number) -> leading {
        if (number.is_zero()) return {};
        const auto text = number.digits();
        const int first = static_cast<int>(text.size()) - 1 - static_cast<int>(number.scale_);
        const int weight = first >= 0 ? first / group : -((-first - 1) / group + 1);
        const auto length = static_cast<std::size_t>(first - weight * group + 1);
        auto head = text.substr(0, length);
        head.resize(length, '0');
        return {weight, std::stoi(head)};
    };
    const auto above = leading_of(a), below = leading_of(b);
    int weight = above.weight - below.weight;
    if (above.value <= below.value) --weight;
    const int scale = std::max(
        {significant_digits - weight * group, static_cast<int>(a.scale_), static_cast<int>(b.scale_), 0});
    return static_cast<std::size_t>(std::min(scale, max_scale));
}

numeric operator/(const numeric& a, const numeric& b) {
    const auto scale = numeric::quotient_scale(a, b);
    // a / 10^sa / (b / 10^sb) * 10^scale, and twice that, to round half a unit away from zero
    auto above = product_of(a.magnitude_, power_of_ten(scale + b.scale_));
    multiply_add(above, 2, 0);
    auto below = product_of(b.magnitude_, power_of_ten(a.scale_));
    auto doubled = divide(std::move(above), std::move(below)).quotient;
    doubled = sum_of(std::move(doubled), {1});
    divide_by_limb(doubled, 2);
    return {a.negative_ != b.negative_, std::move(doubled), scale};
}

numeric operator%(const numeric& a, const numeric& b) {
    const auto scale = std::max(a.scale_, b.scale_);
    return {a.negative_, divide(a.scaled_to(scale), b.scaled_to(scale)).rest, scale};
}

std::strong_ordering operator<=>(const numeric& a, const numeric& b) {
    if (a.negative_ != b.negative_)
        return a.negative_ ? std::strong_ordering::less : std::strong_ordering::greater;
    const auto scale = std::max(a.scale_, b.scale_);
    const auto order = compare(a.scaled_to(scale), b.scaled_to(scale));
    return a.negative_ ? 0 <=> order : order;
}

} // namespace pgstate::store
