#pragma once

#include "pgstate/detail/export.hpp"
#include "pgstate/logger.hpp"
#include "pgstate/metrics.hpp"
#include "pgstate/tracer.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pqxx {
class connection;
}

namespace pgstate {

/// The connection pool's limits and life times, in pgxpool's terms. Each can also stand in the connection string as
/// `pool_<name>` (durations as `1h30m`, `500ms`, ...), where it wins over the value here.
struct pool_config {
    /// The most connections at once, 1 to 10,000. 0: the greater of 4 and the number of processors.
    std::size_t max_conns = 0;
    /// The fewest connections kept open, 0 to max_conns; made in the background.
    std::size_t min_conns = 0;
    /// The fewest idle connections kept ready, 0 to max_conns.
    std::size_t min_idle_conns = 0;
    /// A connection older than this is retired when it is next idle; positive.
    std::chrono::milliseconds max_conn_lifetime = std::chrono::hours(1);
    /// Up to this much is added to each connection's lifetime at random, so that they do not all end at once. 0: none.
    std::chrono::milliseconds max_conn_lifetime_jitter{0};
    /// A connection idle for longer than this is closed; positive.
    std::chrono::milliseconds max_conn_idle_time = std::chrono::minutes(30);
    /// How often life times and minimums are looked after; positive.
    std::chrono::milliseconds health_check_period = std::chrono::minutes(1);

    /// The time for one connection to one host, when the connection string has no `connect_timeout`; positive.
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
    /// A connection idle for longer than this is pinged before it is handed out. 0: before every hand-out.
    std::chrono::milliseconds validate_after_idle = std::chrono::seconds(30);

    /// Called on a worker thread of the pool with every new connection, before its first use; may block. A connection
    /// whose hook throws is closed, and the attempt counts as failed. Settings made here last as long as the
    /// connection: behind a pooler in transaction mode they are not reliable.
    std::function<void(pqxx::connection&)> after_connect{};
    /// Called on a worker thread each time before a connection is handed out; may block. False or a throw: the
    /// connection is closed and another is tried. Costs every operation a change of thread.
    std::function<bool(pqxx::connection&)> before_acquire{};
};

/// How many operations share a statement.
struct batch_config {
    /// False: one statement for each operation.
    bool enabled = true;
    /// The most operations in one statement, 1 to 10,000.
    std::size_t max_operations = 128;
    /// The most bytes of keys and documents in one statement; one of more than an eighth of it travels alone. At least 1 KiB.
    std::size_t max_bytes = std::size_t{4} << 20;
    /// Statements under way on one connection at once, 1 to 16.
    std::size_t max_in_flight = 2;
    /// Parts of the batch engine that work side by side, each with its share of the keys and of the connections, 1 to
    /// max_conns. They let several threads run the executor without queueing for each other; operations of different
    /// parts do not share statements. 0: one for every four connections, at most one for each processor.
    std::size_t shards = 0;
};

/// How much may be pending in a store: accepted, under way or not, and not yet completed. What exceeds it fails at once
/// with errc::overloaded, so that a program that asks for more than the server does runs into errors it can act upon, and
/// not out of memory. Each operation of a bulk counts; transactions and with_connection do not.
struct pending_config {
    /// The most operations, 1 to 10,000,000.
    std::size_t max_operations = 250'000;
    /// The most bytes of their keys and documents, 1 KiB to 512 GiB. One operation of more is accepted if no others are
    /// pending.
    std::size_t max_bytes = std::size_t{256} << 20;
};

/// What `open` does about the table.
enum class migrate_mode {
    apply,  ///< create or upgrade the table when it is not current
    verify, ///< change nothing; fail with schema_mismatch when it is not current
    off,    ///< do not look
};

/// Which indexes a new table gets besides its primary key.
enum class index_mode {
    standard, ///< the Go SDK's two secondary indexes
    lean,     ///< none, and a fill factor: updates stay heap-only, which makes saves much cheaper
};

/// Where the histories of states are.
enum class history_layout {
    document, ///< in the document of the state, as the Go SDK has them
    rows,     ///< each message is a row of a second table
};

/// What `open` makes of the table.
struct schema_config {
    migrate_mode migrate = migrate_mode::apply; ///< whether it is made, checked, or trusted
    index_mode indexes = index_mode::standard;  ///< the indexes of a new table
    /// Also a GIN index over the document, for searches by containment.
    bool jsonb_index = false;
    /// Also a trigger that gives a row a new version when a writer other than pgstate changes its state: the Go SDK, or SQL
    /// of your own. Without it, such a change keeps the version, so that `if_unchanged` does not see it. The trigger and its
    /// function are `<table>_guard`; the function runs with the rights of whoever opens the store first.
    bool guard = false;
    /// Also the table `<table>_checkpoints`, for what `checkpoint` keeps. Its foreign key deletes the checkpoints of a
    /// state when the state's row is deleted, by whomever.
    bool checkpoints = false;
    /// Where new histories are stored. With `rows` they go into the table `<table>_messages`. The cost of an append or a save then
    /// depends on what is new, not on the length of the history. `rows` makes that table, the columns `epoch` and `messages`, the
    /// table of checkpoints, and triggers that delete messages which no state and no checkpoint has any more. The Go SDK fails to
    /// read such a state. Existing histories stay where they are: `pgstate migrate --history` moves them. A store with
    /// `document` also uses histories in rows, if the table of messages existed when the store was opened.
    history_layout history = history_layout::document;
};

/// What a store keeps of earlier versions by itself: config::history.
struct history_config {
    /// Each save also makes a checkpoint of its version, without a label, in the same statement. This includes saves in a
    /// transaction. append, merge, increment, restore and fork make no checkpoint.
    bool checkpoint_every_save = false;
    /// With `checkpoint_every_save`: each save keeps this many of the newest checkpoints without a label, and removes the others.
    /// Checkpoints with a label stay. 0: all stay, until `prune`.
    std::size_t keep = 0;
};

/// The sweeper, which deletes the rows of states that have expired. They are gone for every operation anyhow; it is the
/// table that would grow.
struct sweep_config {
    /// How long a store waits at most between looking for such states, 100 ms to 1 day; somewhat less at random, so that
    /// processes started together spread. 0: it never looks. One store of a table is enough; more do no harm. With
    /// index_mode::standard the table gets an index of the rows that expire, which every save with a ttl keeps up; with
    /// `lean` it gets none, and each look reads the table.
    std::chrono::milliseconds period{0};
    /// The most rows that one statement deletes, 1 to 10,000. While it finds as many, the next follows without waiting
    /// for the period, but after a pause of at least the time it took, and not while operations wait for a connection.
    std::size_t batch = 500;
};

/// What connections keep of statements.
enum class statement_mode {
    prepared, ///< single-row statements are prepared once for each connection
    unnamed,  ///< nothing is kept on the server: for poolers in transaction mode without prepared statements
};

/// For those who measure: how operations become statements. The defaults suit all but a few programs; `statements` is also
/// for what some poolers ask for.
struct tuning_config {
    batch_config batch{};                                 ///< what shares a statement
    statement_mode statements = statement_mode::prepared; ///< behind some poolers: unnamed
    /// How long a write waits for a lock that another session holds, up to a day, before it makes way for the writes that
    /// share its statement and waits by itself. 0: as long as such statements take, 5 to 100 ms.
    std::chrono::milliseconds lock_wait{0};
};

/// A setting of the server's, and its value for the store's transactions.
struct session_setting {
    /// As SET takes it: one of PostgreSQL's ("role", "search_path") or of your own, with a dot ("app.tenant_id").
    std::string name{};
    /// Any text without NUL characters. May be a secret: it is in no error, log record, metric or span of pgstate's.
    std::string value{};
};

/// What the logger is told of operations.
struct telemetry_config {
    /// An operation that takes longer is logged, at level warn, with where its time went. 0: none is.
    std::chrono::milliseconds slow_operation = std::chrono::seconds(1);
    /// Log records name agents and sessions by their ids. Otherwise by hashes, which are the same in every process, so
    /// that the records of one session can be found.
    bool log_ids = false;
};

/// Everything a store is told. A plain aggregate: name it as a variable of its own before it goes into an expression
/// with `co_await` (g++ 12 destroys such temporaries twice).
struct config {
    /// What libpq takes, as a URI or as keyword/value, plus `pool_*` settings. Not empty.
    std::string connection_string;

    /// The table, schema-qualified or not: "agent_states", "app.agent_states". Taken to the letter, upper case
    /// included, and quoted; each part 1 to 63 bytes. A name that itself holds a dot or other characters may be given
    /// in double quotes, a quote inside doubled.
    std::string table_name = "agent_states";

    /// The time an operation may take from its call to its completion, the wait for a connection included. 0: no limit.
    std::chrono::milliseconds operation_timeout = std::chrono::seconds(30);

    /// How long a new state lives that is saved without a ttl, 1 ms to max_ttl. 0: for ever. One that is saved again keeps its
    /// expiry; `save_options::ttl` and `touch` renew it.
    std::chrono::milliseconds default_ttl{0};

    /// Set for each transaction that the store sends, and for no longer (SET LOCAL), so that a connection that others
    /// use as well, behind a pooler say, never has them: for row-level security. Migrations and `transaction` begin
    /// with them too; the pool's pings, and what runs in `with_connection`, do not. Distinct names, not
    /// "client_encoding". What the server refuses of them is each operation's error.
    std::vector<session_setting> session_settings{};

    pool_config pool{};       ///< how many connections, and for how long
    tuning_config tuning{};   ///< for those who measure
    pending_config pending{}; ///< how much may be asked for at once
    schema_config schema{};   ///< what is made of the table
    history_config history{}; ///< what is kept of earlier versions; may make the table of schema.checkpoints
    sweep_config sweep{};     ///< whether states that have expired are deleted

    /// Null: none, which costs nothing. Shared by all stores and pools that are given the same.
    std::shared_ptr<pgstate::logger> logger{};
    std::shared_ptr<pgstate::metrics> metrics{}; ///< as `logger`
    std::shared_ptr<pgstate::tracer> tracer{};   ///< as `logger`
    telemetry_config telemetry{};                ///< what `logger` is told

    /// The defaults with `connection_string` taken from the environment variable DATABASE_URL.
    /// \throws error invalid_argument - DATABASE_URL is not set or empty
    PGSTATE_API static config from_environment();
};

} // namespace pgstate
