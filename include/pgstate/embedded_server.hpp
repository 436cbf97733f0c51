#ifndef PGSTATE_EMBEDDED_SERVER_HPP
#define PGSTATE_EMBEDDED_SERVER_HPP

#include "pgstate/detail/export.hpp"

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace pgstate {

/// How an `embedded_server` is made. A plain aggregate: name it as a variable before it meets `co_await` (g++ 12).
struct embedded_server_options {
    /// Where PostgreSQL's programs (initdb, postgres, pg_ctl) are. Empty: `PGSTATE_PG_BINDIR`, `pg_config --bindir`,
    /// the newest of Debian's /usr/lib/postgresql/*/bin, then PATH.
    std::filesystem::path bin_directory;

    /// The cluster's directory: kept and used again if it holds a cluster. Empty: a new temporary one, removed at the
    /// end.
    std::filesystem::path data_directory;

    /// Settings for the server's configuration ("fsync", "max_connections", ...), added to those chosen here.
    std::map<std::string, std::string> settings;

    /// The unprivileged user that the server runs as when this process is root (PostgreSQL refuses to run as root).
    std::string run_as = "postgres";

    /// The longest to wait for initdb and then for the server to accept connections.
    std::chrono::milliseconds start_timeout = std::chrono::seconds(60);
};

/// A private PostgreSQL server for demonstrations and tests: made, started and stopped by this object.
/// Listens on a Unix socket in a directory of its own and on a free port of 127.0.0.1.
///
/// Every member blocks. Thread safety: distinct objects; one object from one thread at a time.
/// Destructor: stops the server (a fast shutdown, an immediate one if that takes too long) and removes the directory if it was temporary.
class PGSTATE_API embedded_server {
public:
    /// \throws error unavailable - PostgreSQL's programs are not found, initdb failed, or the server did not come up; the
    ///         message has the end of the server's log
    explicit embedded_server(embedded_server_options options = {});
    embedded_server(embedded_server&&) noexcept;
    embedded_server& operator=(embedded_server&&) noexcept;
    ~embedded_server();

    /// A URI over the Unix socket for `database` (one that exists, or made with create_database).
    std::string connection_string(const std::string& database = "postgres") const;
    /// The same over TCP.
    std::string tcp_connection_string(const std::string& database = "postgres") const;

    const std::filesystem::path& data_directory() const noexcept;
    const std::filesystem::path& socket_directory() const noexcept;
    const std::filesystem::path& bin_directory() const noexcept;
    unsigned short port() const noexcept;
    /// The process id of the postmaster; 0 while stopped.
    int pid() const noexcept;

    /// Creates a database. \throws error unavailable - createdb failed
    void create_database(const std::string& name);

    enum class shutdown { fast, immediate };
    /// Stops the server, keeping its directory; nothing if it is stopped.
    void stop(shutdown how = shutdown::fast);
    /// Starts a stopped server again, on the same port and socket.
    void start();

private:
    class impl;
    std::unique_ptr<impl> impl_;
};

} // namespace pgstate

#endif
