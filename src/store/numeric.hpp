#ifndef PGSTATE_STORE_NUMERIC_HPP
#define PGSTATE_STORE_NUMERIC_HPP

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::store {

/// A number as PostgreSQL's type numeric has it: decimal, exact, with a scale of its own. Arithmetic gives the server's
/// results, and the scale of the operands matters to a quotient only.
class numeric {
public:
    /// Digits before or after the point beyond which nothing is calculated here; the server goes up to 131,072.
    static constexpr std::size_t max_digits = 5000;

    /// Thrown where a result or a literal would have more than max_digits.
    struct too_long {};

    numeric() = default;
    explicit numeric(std::int64_t value);
    explicit numeric(std::uint64_t value);
    /// The decimal number that a double is stored as. \pre it is finite
    static numeric of_double(double value);
    /// \pre `literal` is [-]digits[.digits][(e|E)[+-]digits], or begins with the point, or is 0x, 0o or 0b and digits
    static numeric parse(std::string_view literal);

    bool is_zero() const noexcept { return magnitude_.empty(); }

    numeric operator-() const;
    numeric abs() const;
    numeric floor() const;
    numeric ceiling() const;
    numeric trunc() const;
    std::optional<std::int32_t> to_int32() const; ///< nothing for one out of range. \pre it is an integer
    std::string to_string() const;

    friend numeric operator+(const numeric& a, const numeric& b);
    friend numeric operator-(const numeric& a, const numeric& b) { return a + -b; }
    friend numeric operator*(const numeric& a, const numeric& b);
    /// \pre `b` is not zero
    friend numeric operator/(const numeric& a, const numeric& b);
    friend numeric operator%(const numeric& a, const numeric& b);
    friend std::strong_ordering operator<=>(const numeric& a, const numeric& b);
    friend bool operator==(const numeric& a, const numeric& b) { return (a <=> b) == 0; }

private:
    using limbs = std::vector<std::uint32_t>; ///< of nine digits, the lowest first; none for zero

    numeric(bool negative, limbs magnitude, std::size_t scale);
    static numeric parse_based(std::string_view digits, std::uint32_t base);
    std::string digits() const; ///< of the magnitude, without leading zeros
    limbs scaled_to(std::size_t scale) const;
    numeric rounded_to_integer(bool away_from_zero) const;
    static std::size_t quotient_scale(const numeric& a, const numeric& b);

    bool negative_ = false;
    limbs magnitude_; ///< the value times 10^scale_
    std::size_t scale_ = 0;
};

/// Whether the server's numeric can hold a literal.
/// \pre see numeric::parse
bool numeric_holds(std::string_view literal);

} // namespace pgstate::store

#endif
