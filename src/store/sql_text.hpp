#ifndef PGSTATE_STORE_SQL_TEXT_HPP
#define PGSTATE_STORE_SQL_TEXT_HPP

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace pgstate::store {

/// `text` as a string constant, right whatever standard_conforming_strings says.
std::string quote_literal(std::string_view text);

/// How the statements of a sql_text keep versions growing where states are erased and made again (see new_version).
enum class versioning {
    timed, ///< a row is made at once or not at all, and erased only when its version is old enough
    plain, ///< they do not see to it: their rows are claimed, or on Citus, which takes no clock in RETURNING
};

/// The store's SQL, said once: the batched, the single-row and the transaction's forms differ only in where the input
/// comes from and what they return. The table is always called `t`. All of it but sweep() also runs on Citus where it is
/// versioning::plain; Citus locks no rows across shards.
class sql_text {
public:
    /// \param quoted_table  as table_identifier::quoted() gives it
    explicit sql_text(std::string quoted_table, versioning kept = versioning::timed)
        : table_(std::move(quoted_table)), kept_(kept) {}

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
    /// Returns a column more where it is versioning::timed, as insert and insert_or_change do.
    std::string erase(std::string_view using_, std::string_view condition, std::string_view name,
                      std::string_view returning) const;
    std::string select(std::string_view columns, std::string_view from, std::string_view condition) const;

    /// Makes the rows that are not there, as expired ones, and locks all of them: what a statement of the same transaction
    /// then makes of them is younger than whatever was erased before. Returns nothing.
    /// \param source  as of insert, from claimed_row or claimed_rows
    std::string claim(std::string_view source) const;

    /// Deletes the rows that have expired longest, $1 at most; gives how many, and whether it was this session's turn:
    /// one sweeps a table at a time.
    std::string sweep() const;

    const std::string& table() const noexcept { return table_; }
    versioning kept() const noexcept { return kept_; }

    /// Where the key is $1 and $2.
    static constexpr std::string_view by_key = "t.agent_id = $1 AND t.session_id = $2";
    /// How the rows of a statement with several are ordered, so that any two programs lock them in one order; the input
    /// is called u, and a and s are the key.
    static constexpr std::string_view in_order_of_input = "u.a COLLATE \"C\", u.s COLLATE \"C\"";
    /// A source of one row, whose key is $1 and $2.
    std::string one_row(std::string_view document, std::string_view expiry, std::string_view name) const;
    /// Sources of claim, of one row as one_row, and of those whose keys are the arrays $1 and $2.
    static std::string claimed_row();
    static std::string claimed_rows();

    /// A new row's version: the server's clock in microseconds. A row's next version is at least one more than its last,
    /// so versions grow while a row lives.
    ///
    /// And one made again after it was erased starts above where it ended. The clock is read before the row is made, which
    /// can have to wait until others have saved, and then erased, the one there was. So a row is made within `made_within`
    /// of its version, or its statement fails (made_too_late); and an erase, or the sweeper, ends a row only when its
    /// version is older than that. A row that took longer has got its version, therefore, when the last one with its key
    /// was gone already. Who fails claims the row first and tries again: then its version is read when nobody else can
    /// make the row any more.
    std::string_view new_version() const noexcept;
    /// Long enough to read a few pages of the indexes from a disk.
    static constexpr std::chrono::microseconds made_within{20'000};
    /// A document from which on storing it may take longer than that, in bytes: its row is claimed at once.
    static constexpr std::size_t large_document = std::size_t{64} << 10;
    /// Whether a refusal is that of a row which was made too late.
    static bool made_too_late(std::string_view sqlstate, std::string_view message) noexcept;
    /// Whether it is that of a constraint, a policy or a trigger which is against a row: a claimed one is all but empty.
    static bool disliked_row(std::string_view sqlstate) noexcept;
    /// A state that has expired is gone for everybody, though its row may still be there.
    static constexpr std::string_view alive = "(t.expires_at IS NULL OR t.expires_at > now())";
    /// \param milliseconds  an expression; 0 and NULL: never
    static std::string expiry_in(std::string_view milliseconds);

private:
    std::string table_;
    versioning kept_;
};

} // namespace pgstate::store

#endif
