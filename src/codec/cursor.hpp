#pragma once

#include "pgstate/agent_state.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace pgstate::codec {

/// What a cursor goes on with; a cursor of one kind of query is refused by the others.
enum class query_kind : std::uint8_t { list = 1, find = 2, list_agents = 3, checkpoints = 4 };

/// The last row of a page: the next page begins behind it, in the order of the query. A part that the order does not
/// know stays empty.
struct page_position {
    /// Of a row without one: no time that the server can have, as it is next to `-infinity`.
    static constexpr timestamp no_time = timestamp::min() + timestamp::duration(1);

    /// In a postgres_store the server's number of microseconds as it stands, `infinity` included.
    timestamp time{};
    std::string agent_id;
    std::string session_id;

    friend bool operator==(const page_position&, const page_position&) = default;
};

/// An opaque text, safe in a URL, that decode_cursor takes back for the same kind and scope only.
/// \param scope  what else a query consists of, an agent's id for example; only a hash of it goes into the cursor
std::string encode_cursor(query_kind kind, std::string_view scope, const page_position& position);

/// The same for the checkpoints of a state, whose pages go on behind a version.
std::string cursor_of_checkpoint(std::string_view agent_id, std::string_view session_id,
                                 std::int64_t version);
/// \throws error invalid_argument - as decode_cursor, of the operation `checkpoints`
std::int64_t checkpoint_of_cursor(std::string_view agent_id, std::string_view session_id,
                                  std::string_view text);

/// \param operation  the operation's name, for the error
/// \throws error invalid_argument - the text is no cursor, was altered, or belongs to another scope or kind of query
page_position decode_cursor(query_kind kind, std::string_view scope, std::string_view text,
                            std::string_view operation);

} // namespace pgstate::codec
