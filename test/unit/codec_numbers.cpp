#include "codec/codec.hpp"
#include "codec/json_number.hpp"
#include "support/run.hpp"

#include <boost/json/array.hpp>

#include <catch2/catch_test_macros.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>

using namespace pgstate_test;
using pgstate::errc;
using pgstate::codec::append_double;
using pgstate::codec::read_double;

namespace {

std::string written(double value) {
    std::string out;
    append_double(out, value);
    return out;
}

/// The value that a number in a document gives.
boost::json::value loaded(const std::string& literal) {
    return pgstate::codec::decode("a", "s", "{\"data\":{\"x\":[" + literal + "]}}", 1, {}, {})
        .data.at("x")
        .at(0);
}

/// A JSON number as jsonb shows it: all digits, no exponent.
std::string as_jsonb(const std::string& literal) {
    const auto e = literal.find('e');
    if (e == literal.npos) return literal;
    std::string mantissa = literal.substr(0, e);
    const std::string sign = mantissa.starts_with('-') ? "-" : "";
    mantissa.erase(0, sign.size());
    const int exponent = std::stoi(literal.substr(e + 1));
    const auto point = mantissa.find('.');
    std::string digits = mantissa;
    if (point != mantissa.npos) digits.erase(point, 1);
    const int whole = static_cast<int>(point == mantissa.npos ? mantissa.size() : point) + exponent;
    if (whole <= 0) return sign + "0." + std::string(static_cast<std::size_t>(-whole), '0') + digits;
    if (whole >= static_cast<int>(digits.size()))
        return sign + digits + std::string(static_cast<std::size_t>(whole) - digits.size(), '0');
    return sign + digits.substr(0, static_cast<std::size_t>(whole)) + "." +
           digits.substr(static_cast<std::size_t>(whole));
}

} // namespace

TEST_CASE("doubles are written so that jsonb keeps them doubles", "[codec]") {
    CHECK(written(0) == "0.0");
    CHECK(written(-0.0) == "0.0");
    CHECK(written(1) == "1.0");
    CHECK(written(999'999'999'999'999'868'928.0) == "999999999999999868928.0");
    CHECK(written(1e21) == "1e+21");
    CHECK(written(-3.2581991632159417e21) == "-3.2581991632159417e+21"); // not 22 digits, which are as short
    CHECK(written(-42) == "-42.0");
    CHECK(written(0.1) == "0.1");
    CHECK(written(9007199254740992.0) == "9007199254740992.0");
    CHECK(written(18446744073709551616.0) == "18446744073709551616.0");
    CHECK(written(1e22) == "1e+22");
    CHECK(written(5e-324) == "5e-324");
}

TEST_CASE("every double survives a trip through jsonb's form", "[codec]") {
    std::mt19937_64 random(42);
    for (int i = 0; i < 100'000; ++i) {
        double value = std::bit_cast<double>(random());
        if (i % 4 == 1)
            value = std::ldexp(static_cast<double>(random() >> 11), static_cast<int>(random() % 80) - 40);
        if (i % 4 == 2) value = std::bit_cast<double>(random() >> 12); // subnormal
        if (i % 4 == 3)
            value = std::round(std::ldexp(1.0 + static_cast<double>(random() >> 12) / 4e15, i % 100));
        if (!std::isfinite(value) || value == 0) continue;
        const auto back = loaded(as_jsonb(written(value)));
        INFO(written(value));
        REQUIRE(back.is_double());
        REQUIRE(std::bit_cast<std::uint64_t>(back.as_double()) == std::bit_cast<std::uint64_t>(value));
    }
}

TEST_CASE("integers are integers up to 64 bits", "[codec]") {
    CHECK(loaded("0").as_int64() == 0);
    CHECK(loaded("-1").as_int64() == -1);
    CHECK(loaded("9007199254740993").as_int64() == 9007199254740993);
    CHECK(loaded("9223372036854775807").as_int64() == INT64_MAX);
    CHECK(loaded("-9223372036854775808").as_int64() == INT64_MIN);
    CHECK(loaded("9223372036854775808").as_uint64() == 9223372036854775808u);
    CHECK(loaded("18446744073709551615").as_uint64() == UINT64_MAX);
}

TEST_CASE("a number that a double holds is read, however it is spelled", "[codec]") {
    CHECK(loaded("1.0").as_double() == 1);
    CHECK(loaded("1.50").as_double() == 1.5);
    CHECK(loaded("0.10000").as_double() == 0.1);
    CHECK(loaded("1e2").as_double() == 100);
    CHECK(loaded("1E+2").as_double() == 100);
    CHECK(loaded("0.00015e4").as_double() == 1.5);
    CHECK(loaded("-0.0").as_double() == 0);
    CHECK(loaded("0e10").as_double() == 0);
    CHECK(loaded("10000000000000000000000").as_double() == 1e22);
    CHECK(loaded("0." + std::string(323, '0') + "5").as_double() == 5e-324);
    CHECK(loaded("17976931348623157" + std::string(292, '0')).as_double() ==
          std::numeric_limits<double>::max());
    CHECK(loaded("36893488147419103232").as_double() == std::ldexp(1.0, 65)); // exactly
    CHECK(loaded("36893488147419103000").as_double() == std::ldexp(1.0, 65)); // shortest
    CHECK(loaded("0.1000000000000000055511151231257827021181583404541015625").as_double() == 0.1);
    CHECK(loaded("0.3333333333333333").as_double() == 1.0 / 3);
}

TEST_CASE("a number that nothing holds is an error, not another number", "[codec]") {
    for (const char* literal :
         {"18446744073709551617", "-9223372036854775809", "12345678901234567890123", "36893488147419103233",
          "0.1234567890123456789", "0.10000000000000001", "3.141592653589793238", "1e400", "-1e400", "1e-400",
          "123456789012345678901234567890.5", "2e-324",
          "179769313486231580000000000000000000000000000000000e300"}) {
        INFO(literal);
        const auto error = failure_of([&] { loaded(literal); });
        CHECK(error == errc::corrupt_state);
        CHECK(names(error, "data holds a number"));
        CHECK_FALSE(names(error, literal));
    }
    // And for the members that are not free-form.
    const auto error = failure_of(
        [] { pgstate::codec::decode("a", "s", R"({"version":99999999999999999999})", 1, {}, {}); });
    CHECK(names(error, "version"));
}

TEST_CASE("read_double takes JSON numbers only", "[codec]") {
    for (const char* text : {"", "x", "1x", "nan", "inf", "1.5.5"})
        CHECK_FALSE(read_double(text).has_value());
    CHECK(read_double("0e999999999999999999999") == 0.0);
}
