#pragma once

#include "sql/prepared.hpp"
#include "sql/table_sql.hpp"
#include "wire/statement.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::sql {

/// The text of statements that write histories in rows.
///
/// The parameters are an input, then the messages of all operations in their order as text[], last the write's name. The input `u`
/// has a row for each operation: $1 is its `a`, and so on. A statement for one operation takes values, one for many takes arrays.
/// Two columns say which messages are whose: `b`, the number of its first one from 1, and `c`, how many it has.
///
/// Every answer has the number of the operation, from 1, as its last column.
class message_rows {
public:
    enum class input { one, many };
    struct text {
        std::string sql;
        std::string_view columns; ///< of the input
        types parameters;
    };

    /// \param answer  the columns of each answer but the last, of the written row `k`
    message_rows(const table_sql& table, input of, std::string answer = written_columns())
        : table_(table), of_(of), answer_(std::move(answer)) {}

    /// As postgres::written_row has them, then the epoch.
    static std::string written_columns();

    // The inputs. `l` is a ttl in milliseconds, 0 to keep the expiry; `m` that of a state that is created; `v` the version that must
    // be there, as version_condition() gives it; `d` a document without its history.

    /// Of `a, s, l, b, c, v`. Adds messages to histories in rows.
    text append() const;
    /// The same with those only whose ids are not there yet, behind lock().
    text append_once() const;
    /// Of `a, s, l, b, c, m, d`. Creates states that are missing.
    text append_or_create() const;
    /// Of `a, s, l, b, c, d`. Replaces states, and their histories.
    text save(table_sql::existing what) const;
    /// Of `a, s, l, b, c, v, d`. Replaces states of that version, and their histories.
    text replace() const;
    /// Of `a, s, l, b, c, v, d, k, e`. Replaces states and adds to their histories, where these have `k` messages and, unless `e` is
    /// zeros, the epoch `e`.
    text extend() const;

    /// A number for `v`; nothing: any version will do.
    static std::int64_t version_condition(std::optional<std::int64_t> version) noexcept;

    /// Locks the states of the keys `a, s`, and no more: what looks at messages comes behind it.
    text lock() const;
    /// Of `a, s, m, d` and a name: also creates those that are missing, without messages.
    text lock_or_create() const;

    /// An INSERT of rows (agent_id, session_id, epoch, seq, id, message) into the table of messages. \param source  "SELECT ..."
    std::string insert(std::string_view source) const;
    /// The id of the message `j`, an expression; NULL: it has none that counts (codec::is_message_id).
    static std::string id_of(std::string_view j);

private:
    struct with_input;

    with_input begin(std::string_view columns) const;
    enum class kind { change, save };
    std::string written(const with_input& of, kind what, std::string_view change,
                        std::string_view paired) const;

    const table_sql& table_;
    input of_;
    std::string answer_;
};

} // namespace pgstate::sql
