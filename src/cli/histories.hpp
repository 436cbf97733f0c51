#pragma once

#include "command.hpp"
#include <pgstate/config.hpp>

#include <string>

namespace pqxx {
class transaction_base;
}

namespace pgstate::cli {

/// The tables of states, and where the histories are. A history is in the document of its state, or its messages are rows of
/// a second table; of each state `epoch` says which.
struct history_tables {
    /// The names alone. \throws error invalid_argument - the table's name is refused
    explicit history_tables(const config& settings);

    /// Asks the catalogue whether there can be histories in rows.
    void look(pqxx::transaction_base& sql);

    std::string table;       ///< quoted, as are the others
    std::string messages;    ///< may not be there
    std::string checkpoints; ///< may not be there
    bool in_rows = false;    ///< there can be histories in rows: all three are there
};

/// SQL: what chooses the messages `m` of the history that the row `of` (a state, a checkpoint) has in rows.
std::string messages_of(const std::string& of);

/// SQL: the document of the row `of` with its history, wherever that is.
std::string whole_document(const history_tables& tables, const std::string& of);

/// The tables, after a look. \throws error as of history_tables, and SQL errors
asio::awaitable<history_tables> find_histories(postgres_store& store, const config& settings);

/// Opens a store that knows where the histories of the table are, as one without a migration does not look.
/// \throws error as of postgres_store::open, and SQL errors
asio::awaitable<postgres_store> open_with_histories(const context& with, config settings);

} // namespace pgstate::cli
