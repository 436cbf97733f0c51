#pragma once

#include "pgstate/detail/export.hpp"

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace pgstate {

/// How an `embedded_server` is made. A plain aggregate: name it as a variable before it meets `co_await` (g++ 12).
struct embedded_server_options {
    /// Where PostgreSQL's programs (initdb and postgres, 14 or newer) are. Empty: `PGSTATE_PG_BINDIR`,
    /// `pg_config --bindir`, the newest of the places where distributions install them, then PATH.
    std::filesystem::path bin_directory;

    /// The cluster's directory, made if it is absent or empty: kept, and used again if an embedded_server
    /// made a cluster there. Empty: a new temporary one, removed at the end.
    std::filesystem::path data_directory;

    /// Settings for the server's configuration ("fsync", "max_connections", ...), stronger than those in the
    /// cluster's own files. Not those that say where the server listens and what its files are (but for
    /// "hba_file", which has to let "postgres" in over the Unix socket): these are chosen here.
    std::map<std::string, std::string> settings;

    /// The unprivileged user that the server runs as when this process is root (PostgreSQL refuses to run as
    /// root); "nobody" where there is no such user. A process that is not root runs the server as itself.
    std::string run_as = "postgres";

    /// The longest to wait for initdb and the server to accept connections, together; of `start()`, for the server.
    std::chrono::milliseconds start_timeout = std::chrono::seconds(60);
};

/// A private PostgreSQL server for demonstrations and tests: made, started and stopped by this object.
/// Listens on a Unix socket in a directory that only its user (and root) can enter, without a password, and
/// on a free port of 127.0.0.1, with a random one. Its superuser is "postgres", its encoding UTF-8, its log
/// `data_directory()/pgstate/server.log`. A Ctrl-C at the terminal does not reach it.
///
/// Every member blocks. Thread safety: distinct objects; one object from one thread at a time.
/// Destructor: stops the server by a fast shutdown (an immediate one if that takes too long); if the directory
/// is temporary, by an immediate one, and removes it.
///
/// Of a program that is killed, the server ends too if the main thread started it (a fast shutdown); else it goes on
/// running, and the next embedded_server on the same directory says so. A temporary directory stays behind either way.
class PGSTATE_API embedded_server {
public:
    /// \throws error unavailable - PostgreSQL's programs are not found, initdb failed, the server did not
    ///         come up (the message has the end of its log), or another server is running on the directory;
    ///         invalid_argument - a setting that is chosen here, or a directory with something else in it
    explicit embedded_server(embedded_server_options options = {});
    /// A moved-from object can only be assigned to or destroyed.
    embedded_server(embedded_server&&) noexcept;
    embedded_server& operator=(embedded_server&&) noexcept;
    ~embedded_server();

    /// A URI over the Unix socket for `database` (one that exists, or made with create_database). It has
    /// parameters already: add another as "&pool_max_conns=8".
    std::string connection_string(const std::string& database = "postgres") const;
    /// The same over TCP, with the password. It has no parameters yet: add one as "?pool_max_conns=8".
    std::string tcp_connection_string(const std::string& database = "postgres") const;

    const std::filesystem::path& data_directory() const noexcept;   ///< the cluster's
    const std::filesystem::path& socket_directory() const noexcept; ///< what libpq takes as its `host`
    const std::filesystem::path& bin_directory() const noexcept;    ///< where initdb and postgres are
    unsigned short port() const noexcept;                           ///< of both TCP and the socket's name
    /// The process id of the postmaster; 0 while stopped.
    int pid() const noexcept;

    /// Creates a database.
    /// \throws error unavailable - the server cannot be reached; otherwise the SQLSTATE of its refusal
    ///         (42P04: it exists)
    void create_database(const std::string& name);

    /// How a server is stopped.
    enum class shutdown {
        fast,     ///< ends the sessions, writes everything to disk
        immediate ///< as after a crash: the next start recovers from the write-ahead log
    };
    /// Stops the server, keeping its directory; nothing if it is stopped. Of one that someone killed: waits
    /// for its end.
    void stop(shutdown how = shutdown::fast);
    /// Starts a stopped server again, on the same port and socket; nothing if it is running.
    /// \throws error unavailable - as the constructor
    void start();

private:
    class impl;
    std::unique_ptr<impl> impl_;
};

} // namespace pgstate
