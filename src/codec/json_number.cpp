#include "codec/json_number.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <system_error>

namespace pgstate::codec {
namespace {

/// Integral doubles below this are written in full; it is above every 64-bit integer.
constexpr double full_digits_limit = 1e21;

/// Any number of at most this many digits survives decimal -> double -> decimal (std::numeric_limits::digits10).
constexpr std::size_t always_exact_digits = 15;

/// A JSON number as 0.d1d2d3... * 10^exponent without leading or trailing zeros; no digits for zero. The sign is left
/// out: it is never what makes two of these differ here.
struct decimal {
    std::string digits;
    std::int64_t exponent = 0;

    friend bool operator==(const decimal&, const decimal&) = default;
};

decimal normalise(std::string_view literal) {
    decimal result;
    std::int64_t point = 0; // digits before the decimal point, leading zeros not counted
    bool fraction = false;
    std::size_t at = literal.starts_with('-') ? 1 : 0;
    for (; at < literal.size(); ++at) {
        const char c = literal[at];
        if (c == '.') {
            fraction = true;
        } else if (c >= '0' && c <= '9') {
            const bool leading_zero = result.digits.empty() && c == '0';
            if (!leading_zero) result.digits += c;
            if (fraction ? leading_zero : !leading_zero) point += fraction ? -1 : 1;
        } else {
            break; // the exponent
        }
    }
    while (result.digits.ends_with('0'))
        result.digits.pop_back();
    if (result.digits.empty()) return {};
    std::int64_t exponent = 0;
    if (at < literal.size()) {
        ++at;
        if (literal[at] == '+') ++at;
        std::from_chars(literal.data() + at, literal.data() + literal.size(), exponent);
    }
    result.exponent = point + exponent;
    return result;
}

bool stands_for(std::string_view literal, double value) {
    char shortest[32];
    const auto s = std::to_chars(shortest, shortest + sizeof shortest, value);
    if (literal == std::string_view(shortest, s.ptr))
        return true; // nearly always, and the quickest to find out

    const decimal wanted = normalise(literal);
    if (wanted.digits.empty()) return value == 0;
    if (wanted.digits.size() <= always_exact_digits && std::isnormal(value)) return true;
    // Scientific: only that form never pads with digits that the double does not need.
    const auto e = std::to_chars(shortest, shortest + sizeof shortest, value, std::chars_format::scientific);
    if (wanted == normalise({shortest, e.ptr})) return true;

    char exact[1024];
    constexpr int most_digits = 767; // that a double can have
    const auto x =
        std::to_chars(exact, exact + sizeof exact, value, std::chars_format::scientific, most_digits);
    return x.ec == std::errc() && wanted == normalise({exact, x.ptr});
}

} // namespace

void append_double(std::string& out, double value) {
    if (value == 0) value = 0; // not -0.0
    char text[64];
    const bool large = std::abs(value) >= full_digits_limit;
    const bool integral = !large && value == std::trunc(value);
    // Without a format to_chars writes all digits of some large doubles, as that is no longer than an exponent.
    const auto end = large ? std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr
                     : integral ? std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr
                                : std::to_chars(text, text + sizeof text, value).ptr;
    out.append(text, end);
    if (integral) out += ".0";
}

std::optional<double> read_double(std::string_view literal) {
    double value = 0;
    const auto [end, failure] = std::from_chars(literal.data(), literal.data() + literal.size(), value);
    if (failure == std::errc::result_out_of_range) {
        // Also what a zero with a wild exponent could be; nothing else is held.
        return normalise(literal).digits.empty() ? std::optional<double>(0) : std::nullopt;
    }
    if (failure != std::errc() || end != literal.data() + literal.size() || !std::isfinite(value))
        return std::nullopt;
    if (!stands_for(literal, value)) return std::nullopt;
    return value;
}

} // namespace pgstate::codec
