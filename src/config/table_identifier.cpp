#include "config/table_identifier.hpp"

#include "config/refuse.hpp"
#include "detail/utf8.hpp"

#include <boost/assert.hpp>
#include <boost/crc.hpp>
#include <boost/locale/utf.hpp>

#include <cstdint>
#include <utility>

namespace pgstate::settings {
namespace {

using utf8 = boost::locale::utf::utf_traits<char>;

/// The first `most` bytes of `text`, or a few less: whole characters only.
std::string_view cut(std::string_view text, std::size_t most) {
    if (text.size() <= most) return text;
    while (most > 0 && utf8::is_trail(text[most]))
        --most;
    return text.substr(0, most);
}

/// Eight hexadecimal digits that stay the same on every machine and in every release.
std::string fingerprint(std::string_view text) {
    boost::crc_32_type crc;
    crc.process_bytes(text.data(), text.size());
    auto rest = static_cast<std::uint32_t>(crc.checksum());
    constexpr std::string_view hexadecimal = "0123456789abcdef";
    std::string digits(8, '0');
    for (auto at = digits.rbegin(); at != digits.rend(); ++at, rest /= 16)
        *at = hexadecimal[rest % 16];
    return digits;
}

/// `name` is repeated in the message, as far as it is not too long for one.
[[noreturn]] void refuse_name(std::string_view what, std::string_view name = {}) {
    refuse(std::string("table_name ").append(what).append(name.empty() ? "" : ": ").append(cut(name, 200)));
}

/// Cuts a part in double quotes off `rest`; `rest` begins with the quote.
std::string take_quoted(std::string_view& rest) {
    std::string part;
    for (std::size_t at = 1; at < rest.size(); ++at) {
        if (rest[at] != '"') {
            part += rest[at];
        } else if (at + 1 < rest.size() && rest[at + 1] == '"') {
            part += '"';
            ++at;
        } else {
            rest.remove_prefix(at + 1);
            return part;
        }
    }
    refuse_name("has an opening double quote without its closing one; write a quote inside a name twice",
                rest);
}

/// Cuts a part that stands as it is off `rest`.
std::string take_plain(std::string_view& rest) {
    const auto part = rest.substr(0, rest.find('.'));
    if (part.find('"') != std::string_view::npos)
        refuse_name(
            "has a double quote inside a name that is not itself quoted; if it belongs to the name, write",
            quote_identifier(part));
    rest.remove_prefix(part.size());
    return std::string(part);
}

std::string take_part(std::string_view& rest) {
    auto part = rest.starts_with('"') ? take_quoted(rest) : take_plain(rest);
    if (part.empty())
        refuse_name("has an empty part; give a table, or a schema and a table: app.agent_states");
    if (part.size() > max_identifier_bytes)
        refuse_name("has a part of over 63 bytes, PostgreSQL's limit", part);
    return part;
}

/// PREFIX TABLE _ SUFFIX, shortened to what the server takes.
std::string derived_name(std::string_view prefix, std::string_view table, std::string_view suffix) {
    BOOST_ASSERT(suffix.size() <= 32);
    auto whole = std::string(prefix).append(table).append("_").append(suffix);
    if (whole.size() <= max_identifier_bytes) return whole;

    const auto hash = fingerprint(whole);
    const auto room = max_identifier_bytes - prefix.size() - 1 - hash.size() - 1 - suffix.size();
    return std::string(prefix).append(cut(table, room)).append("_").append(hash).append("_").append(suffix);
}

} // namespace

std::string quote_identifier(std::string_view name) {
    std::string quoted = "\"";
    for (const char c : name) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted += '"';
}

std::string table_identifier::quoted() const {
    return schema.empty() ? quote_identifier(name) : quote_identifier(schema) + "." + quote_identifier(name);
}

std::string table_identifier::index_name(std::string_view suffix) const {
    return derived_name("idx_", name, suffix);
}

std::string table_identifier::related_name(std::string_view suffix) const {
    return derived_name("", name, suffix);
}

std::string table_identifier::quoted_related(std::string_view suffix) const {
    return table_identifier{schema, related_name(suffix)}.quoted();
}

std::string table_identifier::quoted_index(std::string_view suffix) const {
    return quote_identifier(index_name(suffix));
}

table_identifier parse_table_name(std::string_view text) {
    switch (detail::check_text(text)) {
    case detail::text_fault::none: break;
    case detail::text_fault::nul: refuse_name("holds a NUL character, which no name may");
    case detail::text_fault::not_utf8: refuse_name("is not valid UTF-8");
    }

    auto rest = text;
    table_identifier table;
    table.name = take_part(rest);
    if (rest.starts_with('.')) {
        rest.remove_prefix(1);
        table.schema = std::move(table.name);
        table.name = take_part(rest);
    }
    if (rest.starts_with('.'))
        refuse_name(
            "has more than two parts; give schema.table, and a name that holds a dot in double quotes", text);
    if (!rest.empty())
        refuse_name("has something behind a closing double quote; write a quote inside a name twice", text);
    return table;
}

} // namespace pgstate::settings
