#ifndef PGSTATE_STORE_SQL_TEXT_HPP
#define PGSTATE_STORE_SQL_TEXT_HPP

#include <string>
#include <string_view>

namespace pgstate::store {

/// `text` as a string constant, right whatever standard_conforming_strings says.
std::string quote_literal(std::string_view text);

/// The store's SQL, said once: the batched, the single-row and the transaction's forms differ only in where the input
/// comes from and what they return. The table is always called `t`. All of it but sweep() also runs on Citus, which locks
/// no rows across shards.
class sql_text {
public:
    /// \param quoted_table  as table_identifier::quoted() gives it
    explicit sql_text(std::string quoted_table) : table_(std::move(quoted_table)) {}

    enum class existing { replaced, kept };

    // `name` is the writing statement's (see write_names): an expression, or NULL where it has none.

    /// \param source  "VALUES ..." or "SELECT ..." of agent_id, session_id, state, created_at, updated_at, version,
    ///                expires_at, and the writing statement's name
    std::string insert(std::string_view source, existing what, std::string_view returning) const;
    /// Makes a row, or changes the one there is; one that has expired is replaced.
    /// \param source  as of insert
    /// \param guard   what must hold for the row there is; "": nothing
    std::string insert_or_change(std::string_view source, std::string_view document, std::string_view expiry,
                                 std::string_view guard, std::string_view returning) const;
    /// \param from    "" or " FROM ... AS u(...)"
    std::string replace(std::string_view document, std::string_view expiry, std::string_view from,
                        std::string_view condition, std::string_view name, std::string_view returning) const;
    /// Changes the expiry and nothing else.
    std::string touch(std::string_view expiry, std::string_view condition, std::string_view name,
                      std::string_view returning) const;
    std::string erase(std::string_view using_, std::string_view condition, std::string_view name,
                      std::string_view returning) const;
    std::string select(std::string_view columns, std::string_view from, std::string_view condition) const;

    /// Deletes the rows that have expired longest, $1 at most; gives how many, and whether it was this session's turn:
    /// one sweeps a table at a time.
    std::string sweep() const;

    const std::string& table() const noexcept { return table_; }

    /// Where the key is $1 and $2.
    static constexpr std::string_view by_key = "t.agent_id = $1 AND t.session_id = $2";
    /// A source of one row, whose key is $1 and $2.
    static std::string one_row(std::string_view document, std::string_view expiry, std::string_view name);

    /// A new row's version: the server's clock in microseconds. A row's next version is at least one more than its last,
    /// so versions grow while a row lives, and one made again after it was erased starts above where it ended.
    static constexpr std::string_view new_version =
        "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint";
    /// A state that has expired is gone for everybody, though its row may still be there.
    static constexpr std::string_view alive = "(t.expires_at IS NULL OR t.expires_at > now())";
    /// \param milliseconds  an expression; 0 and NULL: never
    static std::string expiry_in(std::string_view milliseconds);

private:
    std::string table_;
};

} // namespace pgstate::store

#endif
