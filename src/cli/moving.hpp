#pragma once

#include "histories.hpp"
#include <pgstate/operations.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pqxx {
class connection;
}

namespace pgstate::cli {

/// A state whose history stays where it is.
struct left_history {
    state_key key;
    std::string why; ///< quotes nothing of it
};

/// What became of the histories that were moved.
struct moved_histories {
    std::int64_t states = 0;      ///< whose history was moved
    std::int64_t messages = 0;    ///< of these states
    std::int64_t checkpoints = 0; ///< whose history was moved to the document
    std::vector<left_history> left;
};

/// Moves the histories of a table a batch of states at a time, in the order of their keys. Each batch is a transaction of its
/// own: what ends in the middle is finished by whoever begins again. Versions, times and names of writes stay, but for versions
/// of a table with a guard.
class history_mover {
public:
    /// \param most  states in a batch, 1 or more
    history_mover(history_tables tables, history_layout to, std::size_t most)
        : tables_(std::move(tables)), to_(to), most_(most) {}

    struct batch {
        std::optional<state_key> last; ///< where the next one begins; nothing: there is none
        std::int64_t looked_at = 0;    ///< states, moved or not
        moved_histories done;
    };
    /// The batch behind `after`; nothing: the first one. Blocks. A batch in which the server refuses a history is repeated
    /// state by state.
    batch move_next(pqxx::connection& connection, const std::optional<state_key>& after) const;

private:
    struct page;
    page read_page(pqxx::connection& connection, const std::optional<state_key>& after) const;
    moved_histories move(pqxx::connection& connection, const std::vector<state_key>& keys) const;
    std::string page_statement(const std::string& behind) const;
    std::string to_rows(const std::string& keys) const;
    std::string to_document(const std::string& keys) const;

    history_tables tables_; ///< with histories in rows
    history_layout to_;
    std::size_t most_;
};

/// SQL: deletes the messages of `keys` that neither a state nor a checkpoint has.
/// \param keys  rows `k` of a and s; the states are locked
std::string delete_orphans_of(const history_tables& tables, const std::string& keys);

/// SQL: locks the states of `keys`, in the order in which other programs do.
std::string lock_states_of(const history_tables& tables, const std::string& keys);

/// SQL: keys as rows `k` of a and s. \param keys  one at least
std::string rows_of_keys(pqxx::connection& connection, const std::vector<state_key>& keys);

} // namespace pgstate::cli
