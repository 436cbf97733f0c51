#pragma once

#include "pgstate/detail/export.hpp"
#include "pgstate/history_window.hpp"

#include <boost/json/object.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgstate {

/// A point in time with PostgreSQL's own resolution (timestamptz counts microseconds).
using timestamp = std::chrono::sys_time<std::chrono::microseconds>;

/// The longest `agent_message::id`, in bytes.
inline constexpr std::size_t max_message_id_bytes = 256;

/// One turn of a conversation.
struct agent_message {
    std::string role;    ///< "user", "assistant", "system", "tool": any UTF-8 text without NUL
    std::string content; ///< UTF-8 without NUL
    /// Stored as RFC 3339 in UTC; finer than a microsecond is cut off on load. Not set (1970-01-01T00:00:00Z): the message
    /// is stored with the time of its save, by this machine's clock, and the program's own is left as it is.
    pgstate::timestamp timestamp{};
    boost::json::object metadata; ///< left out of the document when empty
    /// Identifies the message within its history: `append` adds a message with this id only once. UTF-8 without NUL, at most
    /// max_message_id_bytes. Empty: it has none. Only `append` looks at it.
    std::string id;
    /// Members that pgstate does not know, kept over a round trip. A member `id` that is no text, or is empty or longer than
    /// max_message_id_bytes, is one of them.
    boost::json::object extra;

    agent_message() = default;
    /// A message without metadata.
    agent_message(std::string role_, std::string content_, pgstate::timestamp when = {})
        : role(std::move(role_)), content(std::move(content_)), timestamp(when) {}

    friend bool operator==(const agent_message&, const agent_message&) = default;
};

/// The state of one agent in one session: what is saved and loaded.
///
/// Keys: `agent_id` and `session_id` are UTF-8 without NUL, not empty, together at most `max_key_bytes` long.
/// Text anywhere in the state is UTF-8 without NUL (jsonb holds neither NUL nor lone surrogates).
/// Numbers: 64-bit integers and finite doubles survive a round trip bit for bit, except that jsonb turns -0.0 into 0.0.
struct agent_state {
    std::string agent_id;   ///< whose state it is
    std::string session_id; ///< of which of its conversations or tasks

    /// The version that was loaded; 0: the state was never saved. The server draws it: versions grow while the state lives, and
    /// none is used twice in a table. They are not consecutive. The guide names the exceptions ("Versions"). The stored document
    /// has the version that the save was based on, not the row's.
    std::int64_t version = 0;

    boost::json::object data;           ///< the program's own
    std::vector<agent_message> history; ///< the conversation, oldest first, or what was loaded of it
    /// How many messages of the stored history come before history[0]: 0 unless a part of it was loaded
    /// (`load_options::history`). A load sets it; of such a state only the end of `history` may grow.
    std::uint64_t history_offset = 0;
    boost::json::object context; ///< the program's own, as `data`

    /// Set by the server on the first save. The stored document has what is here, or the time of the save where it was never
    /// set, as it is after a save over a row that was not loaded.
    timestamp created_at{};
    timestamp updated_at{}; ///< set by the server on every save

    /// When the state expires, as it was loaded; nothing: never. A save does not look at it, and keeps the expiry that
    /// the state has in the table: see save_options::ttl.
    std::optional<timestamp> expires_at{};

    boost::json::object extra; ///< top-level members that pgstate does not know, kept over a round trip

    history_mark mark; ///< of a state that was loaded in part; a program only copies it

    agent_state() = default;
    /// An empty state that was never saved.
    agent_state(std::string agent, std::string session)
        : agent_id(std::move(agent)), session_id(std::move(session)) {}

    friend bool operator==(const agent_state&, const agent_state&) = default;
};

/// The longest `agent_id` plus `session_id`, in bytes: both must fit one entry of the primary key's B-tree
/// (PostgreSQL manual, "B-Tree Indexes": about a third of an 8 kB page).
inline constexpr std::size_t max_key_bytes = 2600;

} // namespace pgstate
