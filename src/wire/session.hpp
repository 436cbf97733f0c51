#ifndef PGSTATE_WIRE_SESSION_HPP
#define PGSTATE_WIRE_SESSION_HPP

#include <pqxx/connection>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

struct pg_conn; // libpq's PGconn

namespace pgstate::wire {

struct statement;

/// Checks what libpq makes of a connection string, without connecting.
/// \throws error invalid_argument - libpq refuses it, and the message does not repeat it; or connect_timeout is no number
void check_connection_string(const std::string& conninfo);

/// Where a connection string leads, as far as it and the environment tell. Reads no file, and asks nobody.
struct destination {
    std::string address; ///< of the first host: a name or an address, or the directory of a socket
    int port = 0;
    std::string database;
};
destination destination_of(const std::string& conninfo);

/// One run of a server: transaction numbers of two runs must not be compared. It changes with a restart, with a promotion,
/// and with the crash of a backend, after which numbers can be given out again.
struct incarnation {
    std::int64_t postmaster_started = 0; ///< microseconds; 0: not known
    std::int64_t timeline = 0;
    std::int64_t statistics_reset = 0; ///< of pg_stat_bgwriter, which recovery resets; microseconds

    bool known() const noexcept { return postmaster_started != 0; }
    friend bool operator==(const incarnation&, const incarnation&) = default;
};

/// A server process, known by its number and its start time, as numbers are used again.
struct backend {
    int pid = 0;              ///< 0: not known
    std::int64_t started = 0; ///< microseconds since the Unix epoch, by the server's clock
    incarnation of{};         ///< the run of the server that it belongs to
    std::uint64_t xmin =
        0; ///< a transaction horizon (pg_snapshot_xmin) of when it was connected; 0: not known
};

struct connect_options {
    std::string conninfo;
    /// For each host, unless the string or the environment sets libpq's connect_timeout.
    std::chrono::milliseconds timeout{10'000};
    /// The server gives up a statement that takes longer, unless the role, the database or the string sets
    /// statement_timeout, to 0 even. 0: it does not. Not behind a pooler, where a setting would be others' as well.
    std::chrono::milliseconds statement_timeout{0};
};

/// One connection to the server, owned by the `pqxx::connection` that users are handed, with libpq's view of it beside.
/// Knows nothing of Asio, so that it can travel to a worker thread and outlive the event loop there.
class session {
public:
    /// Connects; blocks, and is meant for a worker thread. `cancelled` is asked several times a second.
    /// \throws error unavailable - carries libpq's message, and the SQLSTATE where the server gave one
    static std::shared_ptr<session> connect(const connect_options& options,
                                            const std::function<bool()>& cancelled);

    /// \param needs_isolation  see below
    explicit session(pg_conn* raw, wire::backend of = {}, bool needs_isolation = false);
    session(const session&) = delete;
    session& operator=(const session&) = delete;
    ~session();

    pg_conn* raw() const noexcept { return raw_; }
    /// Unknown behind a pooler, which gives a statement to any of its own.
    const wire::backend& backend() const noexcept { return backend_; }
    /// Transactions do not begin as READ COMMITTED, and the session's default must not be changed, as it is behind a pooler:
    /// each transaction has to set it.
    bool needs_isolation() const noexcept { return needs_isolation_; }
    int socket() const noexcept;

    /// Pipeline and non-blocking mode, for wire::connection. False: the session is no good any more.
    bool enter_pipeline();
    /// Plain blocking mode, for pqxx code; blocks, for worker threads only.
    /// \throws error unavailable - the connection is broken
    pqxx::connection& enter_blocking();
    /// After pqxx code: rolls back what it left open. False: the session is no good any more. Blocks.
    bool clean_up();

    /// False when the connection is known to be broken.
    bool alive() const noexcept;
    /// The string asks for a server that takes writes (target_session_attrs), and this one has said that it takes none
    /// any more.
    bool demoted() const noexcept;
    /// The server is a standby, as far as it has told (in_hot_standby, which PostgreSQL reports from 14 on). It can have been
    /// promoted since its last answer.
    bool standby() const noexcept;

    /// Which statements this session has prepared, and which of them its server can no longer use: those go unnamed.
    std::unordered_set<const statement*> prepared;
    std::unordered_set<const statement*> outdated;
    /// What was prepared in it is not there later: behind a pooler that keeps no statements. All go unnamed.
    bool forgets_statements = false;

private:
    bool is_on(const char* parameter) const noexcept;

    std::unique_ptr<pqxx::connection> owner_;
    pg_conn* raw_;
    wire::backend backend_;
    bool needs_isolation_;
    enum class writer : std::uint8_t { any, primary, read_write } wanted_ = writer::any;
};

} // namespace pgstate::wire

#endif
