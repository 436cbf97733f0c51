#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pgstate::sql {

/// `text` as a string constant, correct for either value of standard_conforming_strings.
std::string quote_literal(std::string_view text);

/// Where the histories of a table are. Of each state it is its document, or rows of a second table: `t.epoch` is NULL, or their
/// name there, and `t.messages` their number.
struct histories {
    std::string messages{};     ///< the table of messages, quoted; empty: every history is in its document
    std::string checkpoints{};  ///< the table of checkpoints, quoted
    bool begin_in_rows = false; ///< where a new history goes
    bool checkpoint_every_save = false; ///< and the newest ones without a label are kept:
    std::uint64_t keep = 0;             ///< 0: all

    bool may_be_in_rows() const noexcept { return !messages.empty(); }
};

/// The text of the statements on one table. The single-row form, the batched form and a transaction's form of a statement
/// differ in where the input comes from and in what they return. The table's alias is always `t`.
///
/// Every statement that writes a state draws a new version, after it has locked the row: INSERT leaves the column out, and
/// UPDATE says `version = DEFAULT`. The exceptions keep the version: `touch` and the deleting statements.
class table_sql {
public:
    /// `nameless`: its writes leave the name in a row as it is, and the version that the write of that name made.
    enum class writer { named, nameless };

    /// \param quoted_table  as table_identifier::quoted() gives it
    explicit table_sql(std::string quoted_table, writer by = writer::named, histories where = {})
        : table_(std::move(quoted_table)), by_(by), histories_(std::move(where)) {}

    const histories& where() const noexcept { return histories_; }
    bool named() const noexcept { return by_ == writer::named; }

    /// What becomes of a row that is there. `renewed`: it is replaced, but keeps its expiry.
    enum class existing { replaced, renewed, unchanged };

    // `name` is the write_name of the statement: an expression, or "" of a nameless writer.

    /// What becomes of the history of a row that is there, where it is in rows.
    enum class history {
        replaced,
        kept,
        grown, ///< by as many messages as the source has
    };

    /// \param source  "VALUES ..." or "SELECT ..." of agent_id, session_id, state, created_at, updated_at, expires_at,
    ///                of a named writer write_name, and what epoch_columns() gives
    std::string insert(std::string_view source, existing what, std::string_view returning) const;
    /// Inserts a row, or changes the existing one; an expired row is replaced.
    /// \param source  as of insert
    /// \param guard   what must hold for the existing row; "": nothing
    std::string insert_or_change(std::string_view source, std::string_view document, std::string_view expiry,
                                 std::string_view guard, std::string_view returning,
                                 history what = history::replaced) const;
    /// \param from  "" or " FROM ... AS u(...)"
    /// \param also  "" or further assignments, each behind a comma
    std::string replace(std::string_view document, std::string_view expiry, std::string_view from,
                        std::string_view condition, std::string_view name, std::string_view returning,
                        std::string_view also = {}) const;
    /// The same without a new document.
    std::string change(std::string_view assignments, std::string_view expiry, std::string_view from,
                       std::string_view condition, std::string_view name, std::string_view returning) const;
    /// Replaces a state by one that was loaded in part, whose history is what is added to the stored one; `document`, `ttl` in
    /// milliseconds, how many `messages` the stored history must have, and the version that must be there, or NULL.
    std::string extend(std::string_view document, std::string_view ttl, std::string_view messages,
                       std::string_view version, std::string_view name, std::string_view returning) const;
    /// Changes the expiry and nothing else.
    std::string touch(std::string_view expiry, std::string_view condition, std::string_view returning) const;
    std::string erase(std::string_view using_, std::string_view condition, std::string_view returning) const;
    std::string select(std::string_view columns, std::string_view from, std::string_view condition) const;

    // A position in the order in which expired rows are deleted is three parameters: expires_at, agent_id, session_id.
    // Both return six columns: how many rows were deleted; whether this session held the sweep lock, as one session sweeps a
    // table at a time; how many it found; and the last one's position, or NULLs.

    /// Deletes the rows that expired first, $1 at most: those behind $2, and up to $5.
    std::string sweep() const;
    /// Finds the first $1 of the rows behind $2. Deletes none, and needs no lock.
    std::string survey_expired() const;

    const std::string& table() const noexcept { return table_; }

    /// Where the key is $1 and $2.
    static constexpr std::string_view by_key = "t.agent_id = $1 AND t.session_id = $2";
    /// Where the keys are those of the input `u`.
    static constexpr std::string_view by_input = "t.agent_id = u.a AND t.session_id = u.s";
    /// The order of rows in a statement with several: two programs lock rows in the same order. The input is `u`, and its
    /// columns a and s are the key.
    static constexpr std::string_view in_order_of_input = "u.a COLLATE \"C\", u.s COLLATE \"C\"";
    /// An expired state is invisible to every operation, though its row may still exist.
    static constexpr std::string_view alive = "(t.expires_at IS NULL OR t.expires_at > now())";
    /// A source of one row, whose key is $1 and $2. \param epoch  what epoch_columns() gives
    static std::string one_row(std::string_view document, std::string_view expiry, std::string_view name,
                               std::string_view epoch);
    /// The end of a source's columns, where histories may be in rows: a history in the document.
    std::string epoch_columns() const {
        return histories_.may_be_in_rows() ? ", NULL::uuid, NULL::bigint" : "";
    }
    /// The same of a history in rows. \param epoch, messages  expressions
    static std::string epoch_columns(std::string_view epoch, std::string_view messages) {
        return std::string(", ").append(epoch).append(", ").append(messages);
    }
    /// Assignments for a history that is in the new document, or "".
    std::string in_document() const {
        return histories_.may_be_in_rows() ? ", epoch = NULL, messages = NULL" : "";
    }
    /// " AND ..." for rows whose history is in the document, or "".
    std::string of_document() const { return histories_.may_be_in_rows() ? " AND t.epoch IS NULL" : ""; }
    /// \param milliseconds  an expression; 0 and NULL: never
    static std::string expiry_in(std::string_view milliseconds);
    /// The same over a row: 0 milliseconds keep its expiry.
    static std::string expiry_or_kept(std::string_view milliseconds);

private:
    /// The assignments to write_name and write_version.
    std::string set_name(std::string_view name) const;

    std::string table_;
    writer by_;
    histories histories_;
};

} // namespace pgstate::sql
