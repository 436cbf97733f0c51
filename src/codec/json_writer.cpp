#include "codec/json_writer.hpp"

#include "codec/codec.hpp"
#include "codec/json_number.hpp"
#include "detail/utf8.hpp"

#include <boost/json/array.hpp>
#include <boost/json/string.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace pgstate::codec {
namespace {

/// What a byte of a string becomes: 0: itself, 'u': \u00XX, another letter: that letter behind a backslash.
constexpr auto escapes = [] {
    std::array<char, 256> table{};
    for (std::size_t c = 0; c < 0x20; ++c)
        table[c] = 'u';
    table['\b'] = 'b';
    table['\f'] = 'f';
    table['\n'] = 'n';
    table['\r'] = 'r';
    table['\t'] = 't';
    table['"'] = '"';
    table['\\'] = '\\';
    return table;
}();

/// Whether each byte is an ASCII character that needs no escape.
bool is_plain(std::string_view text) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101;
    constexpr std::uint64_t highs = ones * 0x80;
    std::size_t at = 0;
    for (; text.size() - at >= 8; at += 8) {
        std::uint64_t word;
        std::memcpy(&word, text.data() + at, sizeof word);
        // Subtracting sets the high bit of each byte that is smaller than what is subtracted. The borrow can set it in later
        // bytes too, but only if there is such a byte, and then the text is not plain.
        const auto odd =
            word | (word - ones * 0x20) | ((word ^ ones * '"') - ones) | ((word ^ ones * '\\') - ones);
        if ((odd & highs) != 0) return false;
    }
    return std::all_of(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x80 && escapes[byte] == 0;
    });
}

std::string_view view(const boost::json::string& text) {
    return {text.data(), text.size()};
}

void append_integer(std::string& out, std::integral auto value) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

/// `append(element)` for each of `elements`, with commas between them.
template <class Elements, class Append>
void append_elements(std::string& out, std::string_view brackets, const Elements& elements, std::size_t depth,
                     Append append) {
    static_assert(max_depth == 512, "named in the message");
    if (depth >= max_depth) throw unwritable{"is nested deeper than 512 objects and arrays; flatten it"};
    out += brackets.front();
    bool first = true;
    for (const auto& element : elements) {
        if (!first) out += ',';
        first = false;
        append(element);
    }
    out += brackets.back();
}

} // namespace

void append_string(std::string& out, std::string_view text) {
    if (text.size() > max_string_bytes)
        throw unwritable{"is a string of " + std::to_string(text.size()) +
                         " bytes; jsonb holds at most 268435455: keep it elsewhere, and refer to it"};
    if (is_plain(text)) {
        (out += '"').append(text) += '"';
        return;
    }
    switch (detail::check_text(text)) {
    case detail::text_fault::none: break;
    case detail::text_fault::nul:
        throw unwritable{"holds a NUL character, which PostgreSQL cannot store; remove it"};
    case detail::text_fault::not_utf8: throw unwritable{"holds text that is not valid UTF-8; convert it"};
    }
    out += '"';
    std::size_t plain = 0; // where the run of bytes that need no escape begins
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const char escape = escapes[byte];
        if (escape == 0) continue;
        out.append(text, plain, i - plain);
        plain = i + 1;
        out += '\\';
        out += escape;
        if (escape == 'u') {
            constexpr std::string_view hex = "0123456789abcdef";
            out += "00";
            out += hex[byte >> 4];
            out += hex[byte & 15];
        }
    }
    out.append(text, plain);
    out += '"';
}

void append_object(std::string& out, const boost::json::object& members, std::size_t depth) {
    append_elements(out, "{}", members, depth, [&](const boost::json::key_value_pair& member) {
        append_string(out, {member.key().data(), member.key().size()});
        out += ':';
        append_value(out, member.value(), depth + 1);
    });
}

void append_value(std::string& out, const boost::json::value& value, std::size_t depth) {
    switch (value.kind()) {
    case boost::json::kind::null: out += "null"; break;
    case boost::json::kind::bool_: out += value.get_bool() ? "true" : "false"; break;
    case boost::json::kind::int64: append_integer(out, value.get_int64()); break;
    case boost::json::kind::uint64: append_integer(out, value.get_uint64()); break;
    case boost::json::kind::double_:
        if (!std::isfinite(value.get_double()))
            throw unwritable{"holds a NaN or an infinity, which JSON cannot; use null or a string"};
        append_double(out, value.get_double());
        break;
    case boost::json::kind::string: append_string(out, view(value.get_string())); break;
    case boost::json::kind::array:
        append_elements(out, "[]", value.get_array(), depth,
                        [&](const boost::json::value& element) { append_value(out, element, depth + 1); });
        break;
    case boost::json::kind::object: append_object(out, value.get_object(), depth); break;
    }
}

} // namespace pgstate::codec
