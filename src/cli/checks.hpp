#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate::cli {

/// What came of reading the table's rows as a program would.
struct rows_seen {
    std::int64_t read = 0;          ///< how many were looked at
    std::int64_t unreadable = 0;    ///< of these
    std::vector<std::string> which; ///< the first few of them
    bool all = false;               ///< there are no more
};

/// What is wrong with some histories in rows.
struct histories_seen {
    std::int64_t count = 0;         ///< up to most_histories_counted
    std::vector<std::string> which; ///< the first few, by their keys
};

/// What `doctor` reads from a server about one table.
struct facts {
    // the connection
    std::chrono::microseconds round_trip{0};
    int server_version = 0; ///< 150018 is 15.18
    bool standby = false;
    bool read_only = false;
    std::string tls;           ///< its protocol; empty: none
    bool over_network = false; ///< neither a Unix socket nor the loopback interface
    bool pooler = false;       ///< somebody between here and the server

    // the role
    std::string role;
    std::vector<std::string> missing_privileges;  ///< of SELECT, INSERT, UPDATE and DELETE
    std::vector<std::string> missing_on_messages; ///< of SELECT and INSERT, where histories are in rows
    bool owns_table = true;
    bool may_create = true; ///< in the table's schema
    enum class row_security {
        none,
        applies,
        bypassed
    } policies = row_security::none; ///< of the table, for the role

    // the table
    bool exists = false;
    std::string table; ///< quoted
    std::vector<std::string> refusals;
    std::vector<std::string> missing;
    bool unlogged = false; ///< it, or a partition
    std::vector<std::string> invalid_indexes;
    bool counted = true; ///< the server keeps the statistics from here to `hot_updates`
    std::int64_t live_rows = 0;
    std::int64_t dead_rows = 0;
    std::string last_vacuum; ///< by hand or automatic; empty: never
    std::int64_t updates = 0;
    std::int64_t hot_updates = 0;
    std::optional<std::int64_t> newest_version{}; ///< of all rows, 0 without rows; nothing: could not be read
    std::optional<std::int64_t> last_drawn{};     ///< by the version's sequence, 0 before the first; likewise
    std::optional<std::int64_t> expired_rows{}; ///< counted up to most_expired; nothing: could not be counted
    std::optional<rows_seen> rows{};            ///< nothing: none could be read
    bool histories_in_rows = false;             ///< there can be some
    std::string messages_table;                 ///< quoted
    std::optional<histories_seen>
        orphans{}; ///< whose messages no state and no checkpoint has; nothing: not read
    std::optional<histories_seen>
        incomplete{};  ///< of states and checkpoints that have other numbers; likewise
    bool lean = false; ///< the settings ask for lean indexes

    // the server
    int max_connections = 0;
    int reserved_connections = 0;
    int used_connections = 0;
    std::size_t pool_size = 0;
    bool fsync = true;
    bool full_page_writes = true;
    std::string synchronous_commit = "on";
};

inline constexpr std::int64_t most_expired = 10'000;
inline constexpr std::int64_t most_histories_counted = 10'000;

/// `skipped`: what the check needs could not be read.
enum class severity { ok, skipped, advice, problem };

/// "ok", and the ANSI colour that it is shown in.
std::pair<std::string_view, std::string_view> name_and_color(severity s) noexcept;

struct finding {
    severity status = severity::ok;
    std::string found;
    std::string what_to_do{}; ///< empty where there is nothing to do
};

/// A check of what was read. It gives nothing where it does not apply.
struct check {
    std::string_view name;
    std::optional<finding> (*look)(const facts& read);
};

/// All of them, in the order in which they are shown.
const std::vector<check>& checks();

} // namespace pgstate::cli
