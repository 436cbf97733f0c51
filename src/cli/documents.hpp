#pragma once

#include "histories.hpp"
#include <pgstate/detail/document_check.hpp>
#include <pgstate/operations.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pqxx {
class transaction_base;
}

namespace pgstate::cli {

// States as text: the stored document with what the row's columns say in front of it, as one JSON object. It goes by SQL
// from column to text and back, without a detour over numbers and objects of this program, so that nothing of it is lost:
//
//   {"agent_id":…,"session_id":…,"version":…,"created_at":…,"updated_at":…,"expires_at":…,"context":…,"data":…,…}

/// One state.
struct document {
    state_key key;
    std::string json; ///< compact, with the whole history, wherever that is; empty: it cannot be given back
    std::string refusal; ///< why it cannot; empty: it can
};

/// What to read: states in the order of their keys (agent_id, session_id, in the database's collation).
struct document_query {
    history_tables tables;            ///< which have not been looked at
    std::string agent;                ///< empty: all
    std::optional<state_key> after{}; ///< begin behind this one
};

/// The next few states, of some megabytes at most unless a single one is larger; none at the end.
std::vector<document> read_documents(pqxx::transaction_base& sql, const document_query& query);

/// One state; nothing if there is none, or it has expired, or there is no checkpoint of `at`.
/// \param tables  which have not been looked at
/// \param at      a version that the state has, or had
std::optional<document> read_document(pqxx::transaction_base& sql, history_tables tables,
                                      const state_key& key, std::optional<std::int64_t> at = {});

/// SQL: a time of the row `t` as in documents; for one that RFC 3339 cannot hold, `infinity` for example, the nearest that
/// it can.
std::string time_as_text(const std::string& column);

/// What the document of a row becomes from `json` (SQL of type jsonb): with every member that other writers expect, and
/// without what has a column alone.
std::string stored_document(const std::string& json);

/// Why a document as a person or `export` wrote it is no state that a load could give back, in words that quote nothing of
/// it; empty: it is one.
std::string wrong_document(std::string_view text, const detail::document_check& check);

/// Why `key` is none; empty: it is one.
std::string wrong_key(const state_key& key);

} // namespace pgstate::cli
