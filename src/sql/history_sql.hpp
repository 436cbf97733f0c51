#pragma once

#include "sql/table_sql.hpp"

#include <string>
#include <string_view>

namespace pgstate::sql::history_sql {

// A history in a document. One that is missing or null, as the Go SDK may write it, is empty.

/// The history of `t.state`.
inline constexpr std::string_view stored =
    "coalesce(nullif(t.state -> 'history', 'null'::jsonb), '[]'::jsonb)";

/// How many messages `document` has; 0 where its history is no array.
std::string count_in(std::string_view document);

/// How many messages the state `t` has, wherever they are.
std::string count(const histories& where);

/// Joined to `t`: what is to be loaded of `t.state`. The document is read from its TOAST table
/// once. One whose history is no array stays as it is, for the reader to refuse.
/// \param from, until, most  numbers of messages: the last `most` from `from` on and below `until`
std::string join_window(const histories& where, std::string_view from, std::string_view until,
                        std::string_view most);

/// The document with that part of its history, which message is the first, and how many there are.
std::string windowed_document(const histories& where);
/// With the columns of rows_columns(), where histories may be in rows.
std::string window_columns(const histories& where);

/// The epoch of a history and those of its messages that are rows, as text with commas between them; NULL where they are in the
/// document.
/// \param of           the alias that has `epoch`
/// \param from, until  numbers of messages; "": of all
std::string rows_columns(const histories& where, std::string_view of, std::string_view from,
                         std::string_view until);

} // namespace pgstate::sql::history_sql
