#ifndef PGSTATE_STORE_SEARCH_HPP
#define PGSTATE_STORE_SEARCH_HPP

#include "pgstate/agent_state.hpp"
#include "pgstate/error.hpp"
#include "pgstate/operations.hpp"
#include "store/cursor.hpp"
#include "store/sql_text.hpp"
#include "wire/statement.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pgstate::store {

/// A query that has been checked, its document as text.
struct encoded_query {
    std::string agent_id; ///< empty: of every agent
    std::string contains; ///< empty: any document
    std::string jsonpath; ///< empty: any document
    time_interval updated{};
    time_interval created{};
    find_order order = find_order::updated_descending;
    std::size_t limit = 0;
    bool documents = true;
    std::optional<page_position> after{};

    bool by_created() const noexcept {
        return order == find_order::created_descending || order == find_order::created_ascending;
    }
    bool descending() const noexcept {
        return order == find_order::updated_descending || order == find_order::created_descending;
    }
    /// Everything that makes it another query: what a cursor belongs to.
    std::string scope() const;
};

/// \throws error invalid_argument - as `find`, but for what a jsonpath is found to be where it is evaluated
encoded_query encode_query(const state_query& query, const find_options& options);

/// A query's statement with its parameters. Each combination of conditions is a text of its own, which the server plans
/// each time: a plan for all of them could use no index.
struct search {
    wire::statement what;
    wire::parameters values;
};

/// \param query     must stay where it is until the search has been sent
/// \param by_index  there is an index over the documents
search make_search(const sql_text& sql, const encoded_query& query, bool by_index);

/// One of a page.
/// \param document  not looked at where the query wants none
/// \throws error corrupt_state
agent_state found_state(const encoded_query& query, std::string_view agent_id, std::string_view session_id,
                        std::string_view document, const saved& row);

/// What the server's refusal of a query means, if it is about its jsonpath: the path is parsed again to find the place.
std::optional<error> refused_jsonpath(const std::string& path, std::string_view sqlstate);

/// The cursor behind `last`, the last state of a page.
std::string cursor_behind(const encoded_query& query, const agent_state& last);

} // namespace pgstate::store

#endif
