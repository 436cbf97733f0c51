#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/detail/encoded_state.hpp"

#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::codec {

/// The deepest nesting of objects and arrays in a document, the document itself included.
inline constexpr std::size_t max_depth = 512;

/// The longest string in a jsonb value, in bytes (JENTRY_OFFLENMASK in PostgreSQL's jsonb.h).
inline constexpr std::size_t max_string_bytes = 0x0fff'ffff;
/// The longest document as text. PostgreSQL takes in no message of 1 GB or more (MaxAllocSize in memutils.h); the key and the
/// other values of a statement go into the rest.
inline constexpr std::size_t max_document_bytes = 0x3fff'ffff - 0x1'0000;

/// \throws error invalid_argument - of `operation`: it is more than max_document_bytes
void check_document_size(std::size_t bytes, std::string_view operation);

/// The document of `state` for the column `state`, without the first `known` messages: compact JSON, its members in the Go SDK's order, then
/// `extra`. Keys are not checked here (validate_key). The times that were never set, of
/// the state and of its messages, and `updated_at` are the clock's.
/// \throws error invalid_argument - of `operation`: a text with NUL or invalid UTF-8, NaN or an infinity, a nesting
///         deeper than max_depth, a string or a document that is too long, or a member of `extra` with the name of a known
///         one; names the place, not the contents
std::string encode(const agent_state& state, std::string_view operation = "save", std::size_t known = 0);

/// The same, with the place of its history.
struct placed_document {
    std::string text;
    detail::history_place history;
    timestamp dated; ///< the time of messages without one
};
placed_document encode_placed(const agent_state& state, std::string_view operation, std::size_t known = 0);

/// The value of `history` in a document whose messages are rows of another table. A reader that does not know of rows refuses
/// it, as it is no array.
inline constexpr std::string_view history_in_rows = "rows";

/// A document without its history, which is in rows.
std::string without_history(std::string_view document, const detail::history_place& history);

/// The text of each message from the `first` on.
std::vector<std::string_view> messages_in(std::string_view document, const detail::history_place& history,
                                          std::size_t first = 0);

/// A part of such a document, for a statement that changes that part: `history`, where times that were never set are the
/// clock's, or the members `data` or `context`.
/// \throws error invalid_argument - as of encode
placed_document encode_messages(std::span<const agent_message> messages, std::string_view operation);
std::string encode_members(const boost::json::object& members, std::string_view name,
                           std::string_view operation);

/// The state in a row. The columns win over the document's own keys, version and times.
/// \throws error corrupt_state - of `operation`: the document is no agent state, or holds a number that neither a
///         64-bit integer nor a double can hold; names the key and the place, not the contents
/// \param rows  the messages as JSON with commas between them, for a document that says that they are rows; nothing: such a
///              document is refused
agent_state decode(std::string_view agent_id, std::string_view session_id, std::string_view document,
                   std::int64_t version, timestamp created_at, timestamp updated_at,
                   std::optional<timestamp> expires_at = {}, std::string_view operation = "load",
                   std::optional<std::string_view> rows = {});

/// A document, or a part of one, as it stands; its numbers are read as decode() reads them.
/// \pre encode() or one of its kind made it
boost::json::value read_value(std::string_view json);

} // namespace pgstate::codec
