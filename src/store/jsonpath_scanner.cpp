#include "store/jsonpath_scanner.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace pgstate::store {
namespace {

constexpr std::string_view special_characters = "?%$.[]{}()|&!=<>@#,*:-+/";
constexpr std::string_view blanks = " \t\n\r\f";

constexpr auto path_keywords = std::to_array<std::string_view>({
    "is",
    "to",
    "abs",
    "lax",
    "flag",
    "last",
    "null",
    "size",
    "true",
    "type",
    "with",
    "false",
    "floor",
    "double",
    "exists",
    "starts",
    "strict",
    "ceiling",
    "unknown",
    "keyvalue",
    "datetime",
    "like_regex",
    // of version 17
    "date",
    "time",
    "bigint",
    "number",
    "string",
    "boolean",
    "decimal",
    "integer",
    "time_tz",
    "timestamp",
    "timestamp_tz",
});

constexpr bool is_blank(unsigned char c) noexcept {
    return blanks.find(static_cast<char>(c)) != std::string_view::npos;
}

/// What the scanner knows nothing special about.
constexpr bool is_other(unsigned char c) noexcept {
    return c != 0 && c != '\\' && c != '"' && !is_blank(c) &&
           special_characters.find(static_cast<char>(c)) == std::string_view::npos;
}

constexpr bool is_decimal_digit(unsigned char c) noexcept {
    return c >= '0' && c <= '9';
}

constexpr int hex_value(unsigned char c) noexcept {
    if (is_decimal_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string_view keyword_of(std::string_view name) noexcept {
    for (const auto keyword : path_keywords) {
        const bool literal = keyword == "null" || keyword == "true" || keyword == "false";
        if (literal ? keyword == name
                    : std::equal(keyword.begin(), keyword.end(), name.begin(), name.end(),
                                 [](char a, char b) { return a == lower(b); }))
            return keyword;
    }
    return {};
}

/// The numbers that a text begins with: the lengths of the longest of each kind, 0 for none.
class number_lengths {
public:
    explicit number_lengths(std::string_view text) : text_(text) {
        integer = decimal_integer();
        based = std::max({based_integer("xX", 16), based_integer("oO", 8), based_integer("bB", 2)});
        decimal = decimal_fraction();
        const std::size_t before_exponent[] = {integer, decimal};
        for (const auto length : before_exponent)
            if (length != 0) look_for_exponent(length);
    }

    std::size_t integer = 0, based = 0, decimal = 0, real = 0;
    std::size_t broken_exponent = 0; ///< a number with an exponent's sign and no digits

private:
    unsigned char at(std::size_t i) const noexcept {
        return i < text_.size() ? static_cast<unsigned char>(text_[i]) : 0;
    }
    /// The end of digits in a base, with single underscores between them.
    std::size_t digits_end(std::size_t from, int base) const noexcept {
        const auto is_digit = [&](std::size_t i) {
            const int value = hex_value(at(i));
            return value >= 0 && value < base;
        };
        if (!is_digit(from)) return from;
        std::size_t end = from + 1;
        while (is_digit(end) || (at(end) == '_' && is_digit(end + 1)))
            end += at(end) == '_' ? 2U : 1U;
        return end;
    }
    std::size_t decimal_integer() const noexcept { return at(0) == '0' ? 1 : digits_end(0, 10); }
    std::size_t based_integer(std::string_view letters, int base) const noexcept {
        if (at(0) != '0' || at(1) == 0 || letters.find(static_cast<char>(at(1))) == std::string_view::npos)
            return 0;
        const auto end = digits_end(2, base);
        return end == 2 ? 0 : end;
    }
    std::size_t decimal_fraction() const noexcept {
        if (at(integer) != '.') return 0;
        const auto end = digits_end(integer + 1, 10);
        return integer == 0 && end == 1 ? 0 : end;
    }
    void look_for_exponent(std::size_t length) noexcept {
        if (at(length) != 'e' && at(length) != 'E') return;
        const bool sign = at(length + 1) == '+' || at(length + 1) == '-';
        const auto digits = length + (sign ? 2 : 1);
        const auto end = digits_end(digits, 10);
        if (end != digits) real = std::max(real, end);
        if (sign) broken_exponent = std::max(broken_exponent, digits);
    }

    std::string_view text_;
};

} // namespace

void jsonpath_scanner::refuse(std::size_t offset, std::string what) const {
    throw path_fault{path_fault::kind::syntax, {offset, std::move(what)}};
}

unsigned char jsonpath_scanner::byte(std::size_t at) const noexcept {
    return at < text_.size() ? static_cast<unsigned char>(text_[at]) : 0;
}

std::size_t jsonpath_scanner::run_of_others(std::size_t from) const noexcept {
    std::size_t end = from;
    while (is_other(byte(end)))
        ++end;
    return end - from;
}

path_token jsonpath_scanner::next() {
    while (skip_blanks_and_comments()) {}
    if (at_ == text_.size()) return {.text = {}, .keyword = {}, .offset = at_};
    const auto c = byte(at_);
    if (c == '"') return scan_string(path_token::kind::string);
    if (c == '$' && byte(at_ + 1) == '"') {
        ++at_;
        return scan_string(path_token::kind::variable);
    }
    if (c == '$' && is_other(byte(at_ + 1))) {
        const auto begin = at_;
        at_ += 1 + run_of_others(at_ + 1);
        return {path_token::kind::variable, std::string(text_.substr(begin + 1, at_ - begin - 1)), {}, begin};
    }
    if (c == '\\' || is_other(c) || (c == '.' && is_decimal_digit(byte(at_ + 1))))
        return scan_number_or_name();
    return scan_symbol();
}

bool jsonpath_scanner::skip_blanks_and_comments() {
    const auto begin = at_;
    while (at_ < text_.size() && is_blank(byte(at_)))
        ++at_;
    if (text_.substr(at_).starts_with("/*")) skip_comment();
    return at_ != begin;
}

void jsonpath_scanner::skip_comment() {
    const auto end = text_.find("*/", at_ + 2);
    if (end == std::string_view::npos) refuse(at_, "an end of the comment");
    at_ = end + 2;
}

path_token jsonpath_scanner::scan_symbol() {
    constexpr std::string_view pairs[] = {"&&", "||", "**", "<=", "==", "<>", "!=", ">="};
    const auto rest = text_.substr(at_);
    std::size_t length = 1;
    for (const auto pair : pairs)
        if (rest.starts_with(pair)) length = 2;
    at_ += length;
    auto symbol = std::string(rest.substr(0, length));
    if (symbol == "<>") symbol = "!=";
    return {path_token::kind::symbol, std::move(symbol), {}, at_ - length};
}

/// The longest token there can be; of those that are as long, a number, a broken number, a name.
path_token jsonpath_scanner::scan_number_or_name() {
    const auto begin = at_;
    const number_lengths lengths(text_.substr(at_));
    const auto others = run_of_others(at_);
    const auto integer = std::max(lengths.integer, lengths.based);
    const auto decimal = std::max(lengths.decimal, lengths.real);
    const auto number = std::max(integer, decimal);
    const auto with_more = [&](std::size_t length) {
        return length != 0 && is_other(byte(begin + length)) ? length + 1 : 0;
    };
    const auto broken =
        std::max({lengths.broken_exponent, with_more(lengths.integer), with_more(lengths.based),
                  with_more(lengths.decimal), with_more(lengths.real)});
    if (number != 0 && number >= broken && number >= others) {
        at_ += number;
        return {decimal == number ? path_token::kind::decimal : path_token::kind::integer,
                std::string(text_.substr(begin, number)),
                {},
                begin};
    }
    if (broken != 0 && broken >= others)
        refuse(begin, "a number, or something else between it and what follows");
    path_token token{path_token::kind::name, {}, {}, begin};
    // A comment right behind a name swallows the name, in the server's scanner too.
    if (!scan_name(token)) return next();
    token.keyword = keyword_of(token.text);
    return token;
}

bool jsonpath_scanner::scan_name(path_token& token) {
    while (at_ < text_.size()) {
        const auto c = byte(at_);
        if (c == '\\') {
            scan_escape(token.text);
        } else if (is_other(c)) {
            token.text += static_cast<char>(c);
            ++at_;
        } else if (text_.substr(at_).starts_with("/*")) {
            skip_comment();
            return false;
        } else {
            break;
        }
    }
    return true;
}

path_token jsonpath_scanner::scan_string(path_token::kind kind) {
    path_token token{kind, {}, {}, at_};
    for (++at_; byte(at_) != '"';) {
        if (at_ == text_.size()) refuse(token.offset, "an end of the quoted string");
        if (byte(at_) == '\\')
            scan_escape(token.text);
        else
            token.text += text_[at_++];
    }
    ++at_;
    return token;
}

void jsonpath_scanner::scan_escape(std::string& out) {
    const auto begin = at_;
    const auto c = byte(at_ + 1);
    if (c == 'u') return scan_unicode(out);
    if (c == 'x') {
        const int high = hex_value(byte(at_ + 2)), low = hex_value(byte(at_ + 3));
        if (high < 0 || low < 0) refuse(begin, "two hexadecimal digits after \\x");
        append_character(out, static_cast<char32_t>(high * 16 + low), begin);
        at_ += 4;
        return;
    }
    if (at_ + 1 == text_.size() || c == '\n') refuse(begin, "something on the same line after the backslash");
    constexpr std::string_view letters = "bfnrtv", meanings = "\b\f\n\r\t\v";
    const auto letter = letters.find(static_cast<char>(c));
    out += letter == std::string_view::npos ? static_cast<char>(c) : meanings[letter];
    at_ += 2;
}

/// Adjacent escapes, of which two can be the halves of one character.
void jsonpath_scanner::scan_unicode(std::string& out) {
    constexpr auto pair_wanted = "both halves of a surrogate pair, the high one first";
    std::optional<char32_t> high;
    const auto begin = at_;
    while (text_.substr(at_).starts_with("\\u")) {
        const auto offset = at_;
        const auto c = scan_code_point();
        const bool is_high = c >= 0xD800 && c <= 0xDBFF, is_low = c >= 0xDC00 && c <= 0xDFFF;
        if (high.has_value() != is_low) refuse(offset, pair_wanted);
        if (is_high)
            high = c;
        else if (is_low)
            append_character(
                out, 0x10000 + ((*std::exchange(high, std::nullopt) - 0xD800) << 10) + (c - 0xDC00), offset);
        else
            append_character(out, c, offset);
    }
    if (high) refuse(begin, pair_wanted);
}

char32_t jsonpath_scanner::scan_code_point() {
    const auto begin = at_;
    at_ += 2;
    const bool braces = byte(at_) == '{';
    const std::size_t most = braces ? 6 : 4;
    if (braces) ++at_;
    char32_t code = 0;
    std::size_t length = 0;
    for (; length < most && hex_value(byte(at_)) >= 0; ++length, ++at_)
        code = code * 16 + static_cast<char32_t>(hex_value(byte(at_)));
    if (braces ? length == 0 || byte(at_) != '}' : length != most)
        refuse(begin, "four hexadecimal digits after \\u, or one to six of them in braces");
    if (braces) ++at_;
    return code;
}

void jsonpath_scanner::append_character(std::string& out, char32_t c, std::size_t offset) const {
    if (c == 0 || c > 0x10FFFF) refuse(offset, "an escape that stands for a character other than NUL");
    const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
    if (c < 0x80) {
        out += static_cast<char>(c);
    } else if (c < 0x800) {
        out += static_cast<char>(0xC0 | (c >> 6));
        tail(0);
    } else if (c < 0x10000) {
        out += static_cast<char>(0xE0 | (c >> 12));
        tail(6);
        tail(0);
    } else {
        out += static_cast<char>(0xF0 | (c >> 18));
        tail(12);
        tail(6);
        tail(0);
    }
}

} // namespace pgstate::store
