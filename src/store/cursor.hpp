#ifndef PGSTATE_STORE_CURSOR_HPP
#define PGSTATE_STORE_CURSOR_HPP

#include "pgstate/agent_state.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace pgstate::store {

/// What a cursor goes on with; a cursor of one kind of query is refused by the others.
enum class query_kind : std::uint8_t { list = 1, find = 2 };

/// The last row of a page: the next page begins behind it (updated_at descending, session_id descending by bytes).
struct list_position {
    timestamp updated_at{};
    std::string session_id;

    friend bool operator==(const list_position&, const list_position&) = default;
};

/// An opaque text, safe in a URL, that decode_cursor takes back for the same kind and agent only.
std::string encode_cursor(query_kind kind, std::string_view agent_id, const list_position& position);

/// \param operation  the operation's name, for the error
/// \throws error invalid_argument - the text is no cursor, was altered, or belongs to another agent or kind of query
list_position decode_cursor(query_kind kind, std::string_view agent_id, std::string_view text,
                            std::string_view operation);

} // namespace pgstate::store

#endif
