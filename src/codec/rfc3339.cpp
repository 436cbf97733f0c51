#include "pgstate/rfc3339.hpp"

#include "codec/json_writer.hpp"
#include "pgstate/error.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace pgstate {

using namespace std::chrono;

namespace codec {
namespace {

/// Writes `count` digits to `to`, and gives where they end.
char* put_digits(char* to, unsigned value, int count) {
    for (int i = count; i-- > 0; value /= 10)
        to[i] = static_cast<char>('0' + value % 10);
    return to + count;
}

/// Reads fixed-width fields from the front of a text; fails once and for all.
class field_reader {
public:
    explicit field_reader(std::string_view text) : rest_(text) {}

    /// `count` digits, at most `limit` as a number, and one of the characters of `after`, if it has any.
    int number(std::size_t count, int limit, std::string_view after = {}) {
        int value = 0;
        if (rest_.size() < count) return refuse();
        for (char c : rest_.substr(0, count)) {
            if (c < '0' || c > '9') return refuse();
            value = value * 10 + (c - '0');
        }
        rest_.remove_prefix(count);
        if (!after.empty()) one_of(after);
        return value <= limit ? value : refuse();
    }

    /// One of the characters of `accepted`; NUL where there is none.
    char one_of(std::string_view accepted) {
        if (rest_.empty() || accepted.find(rest_.front()) == accepted.npos) {
            refuse();
            return '\0';
        }
        const char c = rest_.front();
        rest_.remove_prefix(1);
        return c;
    }

    /// An optional fraction of a second.
    microseconds fraction() {
        if (!rest_.starts_with('.')) return {};
        rest_.remove_prefix(1);
        std::size_t count = 0;
        std::int64_t value = 0;
        for (; count < rest_.size() && rest_[count] >= '0' && rest_[count] <= '9'; ++count)
            if (count < 6) value = value * 10 + (rest_[count] - '0');
        if (count == 0) refuse();
        rest_.remove_prefix(count);
        for (; count < 6; ++count)
            value *= 10;
        return microseconds(value);
    }

    bool done() const { return good_ && rest_.empty(); }

private:
    int refuse() {
        good_ = false;
        rest_ = {};
        return 0;
    }

    std::string_view rest_;
    bool good_ = true;
};

/// With all six digits of the fraction. False, and nothing appended, for a year of other than four digits.
bool append_whole(std::string& out, timestamp when) {
    const auto day = floor<days>(when);
    const year_month_day date(day);
    if (date.year() < year(0) || date.year() > year(9999)) return false;
    const hh_mm_ss time(when - day);

    char text[sizeof "0000-00-00T00:00:00.000000Z"];
    char* end = text;
    const auto field = [&end](std::int64_t value, int digits, char after) {
        end = put_digits(end, static_cast<unsigned>(value), digits);
        *end++ = after;
    };
    field(int(date.year()), 4, '-');
    field(unsigned(date.month()), 2, '-');
    field(unsigned(date.day()), 2, 'T');
    field(time.hours().count(), 2, ':');
    field(time.minutes().count(), 2, ':');
    field(time.seconds().count(), 2, '.');
    field(time.subseconds().count(), 6, 'Z');
    out.append(text, end);
    return true;
}

} // namespace

bool append_rfc3339(std::string& out, timestamp when) {
    if (!append_whole(out, when)) return false;
    out.pop_back(); // the Z
    while (out.back() == '0')
        out.pop_back();
    if (out.back() == '.') out.pop_back();
    out += 'Z';
    return true;
}

timestamp nearest_rfc3339(timestamp when) {
    constexpr timestamp first = sys_days(year(1) / 1 / 1);
    constexpr timestamp last = sys_days(year(10'000) / 1 / 1) - microseconds(1);
    return std::clamp(when, first, last);
}

} // namespace codec

std::string to_rfc3339(timestamp when) {
    std::string text;
    if (!codec::append_whole(text, when))
        throw error(errc::invalid_argument, "to_rfc3339",
                    "the year is before 0 or after 9999, which RFC 3339 cannot hold");
    return text;
}

std::string to_nearest_rfc3339(timestamp when) {
    return to_rfc3339(codec::nearest_rfc3339(when));
}

std::optional<timestamp> from_rfc3339(std::string_view text) {
    codec::field_reader in(text);
    const int y = in.number(4, 9999, "-");
    const int m = in.number(2, 12, "-");
    const int d = in.number(2, 31, "Tt ");
    const hours h(in.number(2, 23, ":"));
    const minutes min(in.number(2, 59, ":"));
    const seconds s(in.number(2, 59));
    const microseconds fraction = in.fraction();
    minutes offset(0);
    if (const char sign = in.one_of("Zz+-"); sign == '+' || sign == '-') {
        offset = hours(in.number(2, 23, ":"));
        offset += minutes(in.number(2, 59));
        if (sign == '-') offset = -offset;
    }
    const year_month_day date(year(y), month(static_cast<unsigned>(m)), day(static_cast<unsigned>(d)));
    if (!in.done() || !date.ok()) return std::nullopt;
    return sys_days(date) + h + min + s - offset + fraction;
}

} // namespace pgstate
