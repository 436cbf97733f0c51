#pragma once

#include "codec/cursor.hpp"
#include "pgstate/agent_state.hpp"
#include "pgstate/operations.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::codec {

/// A query of `find` that has been checked, its document as JSON text.
struct encoded_query {
    std::string agent_id;         ///< empty: of every agent
    std::string contains;         ///< empty: any document
    std::string jsonpath;         ///< empty: any document
    std::string message_jsonpath; ///< empty: any history
    /// For histories in rows: `contains` without its member `history` (empty if nothing is left), and each message of that
    /// member.
    std::string contains_besides;
    std::optional<std::vector<std::string>> contains_messages{}; ///< nothing: there is no `history`
    bool contains_no_history = false; ///< its `history` is no array: no history contains it
    time_interval updated{};
    time_interval created{};
    find_order order = find_order::updated_descending;
    std::size_t limit = 0;
    bool documents = true;
    history_window history{}; ///< of the documents
    on_unreadable unreadable = on_unreadable::fail;
    std::optional<page_position> after{};

    bool by_created() const noexcept {
        return order == find_order::created_descending || order == find_order::created_ascending;
    }
    bool descending() const noexcept {
        return order == find_order::updated_descending || order == find_order::created_descending;
    }
    /// Everything that makes it another query: a cursor belongs to one scope.
    std::string scope() const;
};

/// \throws error invalid_argument - as `find`. The syntax of a jsonpath is left to the server
encoded_query encode_query(const state_query& query, const find_options& options);

/// One state of a page.
/// \param document  ignored where the query wants no documents
/// \param messages  as `rows` of decode()
/// \throws error corrupt_state
agent_state found_state(const encoded_query& query, std::string_view agent_id, std::string_view session_id,
                        std::string_view document, const saved& row,
                        std::optional<std::string_view> messages = {});

/// The cursor behind `last`, the place of a page's last row.
std::string cursor_behind(const encoded_query& query, const page_position& last);

} // namespace pgstate::codec
