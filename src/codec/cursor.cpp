#include "codec/cursor.hpp"

#include "detail/utf8.hpp"
#include "pgstate/error.hpp"

#include <chrono>
#include <cstddef>
#include <optional>

namespace pgstate::codec {
namespace {

// A cursor is base64url of: format (1 byte), kind (1), hash of the scope (8), time (8), agent_id, NUL, session_id,
// checksum (8); numbers little-endian. The checksum finds accidents and meddling; a cursor gives no access, so it needs no
// secret.
constexpr unsigned char format = 3;
constexpr std::size_t head_bytes = 1 + 1 + 8 + 8;
constexpr std::size_t checksum_bytes = 8;

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// FNV-1a, with murmur3's finalizer so that every bit of the input moves half of the result.
std::uint64_t hash(std::string_view text) {
    std::uint64_t h = 0xcbf29ce484222325;
    for (char c : text)
        h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccd;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53;
    return h ^ (h >> 33);
}

void append_number(std::string& out, std::uint64_t value) {
    for (int i = 0; i < 8; ++i, value >>= 8)
        out += static_cast<char>(value & 0xff);
}

std::uint64_t read_number(std::string_view bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 8; i-- > 0;)
        value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
}

std::string to_base64(std::string_view bytes) {
    std::string out;
    out.reserve((bytes.size() * 4 + 2) / 3);
    std::uint32_t bits = 0;
    int count = 0;
    for (char c : bytes) {
        bits = bits << 8 | static_cast<unsigned char>(c);
        for (count += 8; count >= 6; count -= 6)
            out += alphabet[bits >> (count - 6) & 63];
    }
    if (count > 0) out += alphabet[bits << (6 - count) & 63];
    return out;
}

std::optional<std::string> from_base64(std::string_view text) {
    std::string out;
    out.reserve(text.size() * 3 / 4);
    std::uint32_t bits = 0;
    int count = 0;
    for (char c : text) {
        const auto digit = alphabet.find(c);
        if (digit == alphabet.npos) return std::nullopt;
        bits = bits << 6 | static_cast<std::uint32_t>(digit);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out += static_cast<char>(bits >> count & 0xff);
        }
    }
    // A last character with unused bits set would be a second spelling of the same cursor.
    if (count >= 6 || (bits & ((1u << count) - 1)) != 0) return std::nullopt;
    return out;
}

[[noreturn]] void refuse(std::string_view operation, std::string_view reason) {
    throw error(errc::invalid_argument, operation, std::string("the cursor ").append(reason));
}

} // namespace

std::string encode_cursor(query_kind kind, std::string_view scope, const page_position& position) {
    std::string bytes;
    bytes.reserve(head_bytes + position.agent_id.size() + 1 + position.session_id.size() + checksum_bytes);
    bytes += static_cast<char>(format);
    bytes += static_cast<char>(kind);
    append_number(bytes, hash(scope));
    append_number(bytes, static_cast<std::uint64_t>(position.time.time_since_epoch().count()));
    bytes += position.agent_id;
    bytes += '\0';
    bytes += position.session_id;
    append_number(bytes, hash(bytes));
    return to_base64(bytes);
}

page_position decode_cursor(query_kind kind, std::string_view scope, std::string_view text,
                            std::string_view operation) {
    constexpr std::string_view no_cursor = "is none that pgstate made; pass a page's next as it is";
    const auto decoded = from_base64(text);
    if (!decoded || decoded->size() <= head_bytes + checksum_bytes) refuse(operation, no_cursor);
    std::string_view bytes = *decoded;
    const auto checksum = read_number(bytes.substr(bytes.size() - checksum_bytes));
    bytes.remove_suffix(checksum_bytes);
    if (checksum != hash(bytes)) refuse(operation, "was altered or cut; pass a page's next as it is");
    if (static_cast<unsigned char>(bytes[0]) != format)
        refuse(operation, "was made by another version of pgstate; begin with the first page");
    if (static_cast<unsigned char>(bytes[1]) != static_cast<unsigned char>(kind))
        refuse(operation, "belongs to another kind of query; begin with the first page");
    if (read_number(bytes.substr(2)) != hash(scope))
        refuse(operation, "belongs to another agent or query; begin with the first page");

    const std::chrono::microseconds time(static_cast<std::int64_t>(read_number(bytes.substr(10))));
    bytes.remove_prefix(head_bytes);
    const auto end_of_agent = bytes.find('\0');
    if (end_of_agent == bytes.npos) refuse(operation, no_cursor);
    const auto agent = bytes.substr(0, end_of_agent);
    const auto session = bytes.substr(end_of_agent + 1);
    if (agent.size() + session.size() > max_key_bytes ||
        detail::check_text(agent) != detail::text_fault::none ||
        detail::check_text(session) != detail::text_fault::none)
        refuse(operation, no_cursor);
    return {timestamp(time), std::string(agent), std::string(session)};
}

namespace {

std::string scope_of(std::string_view agent_id, std::string_view session_id) {
    return std::string(agent_id).append(1, '\0').append(session_id);
}

} // namespace

std::string cursor_of_checkpoint(std::string_view agent_id, std::string_view session_id,
                                 std::int64_t version) {
    const timestamp as_time{std::chrono::microseconds(version)};
    return encode_cursor(query_kind::checkpoints, scope_of(agent_id, session_id), {as_time, {}, {}});
}

std::int64_t checkpoint_of_cursor(std::string_view agent_id, std::string_view session_id,
                                  std::string_view text) {
    const auto position =
        decode_cursor(query_kind::checkpoints, scope_of(agent_id, session_id), text, "checkpoints");
    return position.time.time_since_epoch().count();
}

} // namespace pgstate::codec
