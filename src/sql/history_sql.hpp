#pragma once

#include <string>
#include <string_view>

namespace pgstate::sql::history_sql {

// The history in a document. One that is missing or null, as the Go SDK may write it, is empty.

/// The history of `t.state`.
inline constexpr std::string_view stored =
    "coalesce(nullif(t.state -> 'history', 'null'::jsonb), '[]'::jsonb)";

/// How many messages `document` has; 0 where its history is no array.
std::string count_in(std::string_view document);

/// Joined to `t`: what is to be loaded of `t.state`. The document is read from its TOAST table
/// once. One whose history is no array stays as it is, for the reader to refuse.
/// \param from, until, most  numbers of messages: the last `most` from `from` on and below `until`
std::string join_window(std::string_view from, std::string_view until, std::string_view most);

/// The document with that part of its history, which message is the first, and how many there are.
inline constexpr std::string_view windowed_document =
    "CASE WHEN h.messages = 0 THEN d.state ELSE (d.state - 'history') || jsonb_build_object('history', "
    "jsonb_path_query_array(d.state, '$.history[$a to $b]', "
    "jsonb_build_object('a', w.first, 'b', e.until - 1))) END";
inline constexpr std::string_view window_columns = "w.first, h.messages";

} // namespace pgstate::sql::history_sql
