#include "timestamps.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>

namespace session_server {
namespace {

using namespace std::chrono;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// Whether `text` has a digit where `shape` has "0", and otherwise the character that `shape` has.
bool has_shape(std::string_view text, std::string_view shape) {
    return std::equal(text.begin(), text.end(), shape.begin(), shape.end(),
                      [](char c, char wanted) { return wanted == '0' ? is_digit(c) : c == wanted; });
}

unsigned number(std::string_view digits) {
    unsigned value = 0;
    for (const char c : digits)
        value = value * 10 + static_cast<unsigned>(c - '0');
    return value;
}

/// Takes a fraction of a second, as in ".25", off the front of `text`.
microseconds take_fraction(std::string_view& text) {
    if (text.size() < 2 || text[0] != '.' || !is_digit(text[1])) return {};
    const auto end = std::find_if_not(text.begin() + 1, text.end(), is_digit);
    std::string digits(text.begin() + 1, end);
    digits.resize(6, '0');
    text.remove_prefix(static_cast<std::size_t>(end - text.begin()));
    return microseconds(number(digits));
}

std::optional<minutes> offset_of(std::string_view zone) {
    if (zone == "Z" || zone == "z") return minutes(0);
    if (!has_shape(zone, "+00:00") && !has_shape(zone, "-00:00")) return std::nullopt;
    const hours h(number(zone.substr(1, 2)));
    const minutes m(number(zone.substr(4, 2)));
    if (h > hours(23) || m > minutes(59)) return std::nullopt;
    return zone[0] == '-' ? -(h + m) : h + m;
}

} // namespace

pgstate::timestamp now() {
    return floor<microseconds>(system_clock::now());
}

std::string to_rfc3339(pgstate::timestamp when) {
    const auto midnight = floor<days>(when);
    const year_month_day date(midnight);
    const hh_mm_ss time(when - midnight);
    char text[64];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", int(date.year()),
                  unsigned(date.month()), unsigned(date.day()), static_cast<int>(time.hours().count()),
                  static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()),
                  static_cast<int>(time.subseconds().count()));
    return text;
}

std::optional<pgstate::timestamp> from_rfc3339(std::string_view text) {
    constexpr std::string_view shape = "0000-00-00T00:00:00";
    const auto fixed = text.substr(0, shape.size());
    if (!has_shape(fixed, shape)) return std::nullopt;
    text.remove_prefix(shape.size());
    const year_month_day date{year(static_cast<int>(number(fixed.substr(0, 4)))),
                              month(number(fixed.substr(5, 2))), day(number(fixed.substr(8, 2)))};
    const hours h(number(fixed.substr(11, 2)));
    const minutes m(number(fixed.substr(14, 2)));
    const seconds s(number(fixed.substr(17, 2)));
    const auto fraction = take_fraction(text);
    const auto offset = offset_of(text);
    if (!date.ok() || h > hours(23) || m > minutes(59) || s > seconds(59) || !offset) return std::nullopt;
    return sys_days(date) + h + m + s + fraction - *offset;
}

} // namespace session_server
