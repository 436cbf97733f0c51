#ifndef PGSTATE_TEST_FAULT_PROXY_HPP
#define PGSTATE_TEST_FAULT_PROXY_HPP

#include "pgstate/embedded_server.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace pgstate_test {

/// A proxy between a client and a server that does to their connections what networks do: cuts, stalls, delays, resets.
///
/// Listens on 127.0.0.1, on a port that it keeps for as long as it lives. Has a thread of its own. Every member may be
/// called from any thread; when it returns, the fault is in force.
class fault_proxy {
public:
    enum class direction { to_server, to_client };

    /// How a connection ends, seen from both sides. What was let through before is delivered first either way. A Unix
    /// socket knows no reset: there the peer sees the end of the stream.
    enum class ending { fin, rst };

    /// What happens to the bytes of one direction.
    enum class flow {
        pass,
        stall, ///< nothing is read any more, and the end of the stream is not passed on; going on loses nothing
        /// Read and thrown away. A direction that has lost bytes passes none any more, whatever it is set to: TCP delivers
        /// no stream with a hole in it.
        swallow
    };

    struct conditions {
        flow bytes = flow::pass;
        /// Before each piece that was read is passed on.
        std::chrono::milliseconds delay{0};
        /// 0: as fast as it goes.
        std::size_t bytes_per_second = 0;
        /// Every byte is a write, and on TCP a segment, of its own.
        bool one_byte_writes = false;
    };

    enum class arrivals {
        forward,
        refuse,    ///< nobody listens: ECONNREFUSED
        black_hole ///< accepted, and nothing else ever happens, also not after `accept(arrivals::forward)`
    };

    /// Where the server is. A host: TCP; a directory: PostgreSQL's Unix socket in it.
    struct target {
        std::string host_or_directory;
        unsigned short port = 0;
    };

    /// Since the proxy was made. Bytes count when they are about to be passed on.
    struct counts {
        std::uint64_t connections = 0; ///< accepted
        std::size_t open = 0;          ///< of the moment; the black-holed ones included
        std::uint64_t cuts = 0;        ///< that were armed and have happened
        std::uint64_t bytes_to_server = 0;
        std::uint64_t bytes_to_client = 0;
        std::uint64_t bytes_swallowed = 0; ///< in both directions
        std::uint64_t writes_to_server = 0;
        std::uint64_t writes_to_client = 0;

        std::uint64_t bytes(direction way) const noexcept {
            return way == direction::to_server ? bytes_to_server : bytes_to_client;
        }
    };

    /// Connections are numbered from 0 in the order in which they were accepted.
    using connection_id = std::uint64_t;

    explicit fault_proxy(target server);
    fault_proxy(const fault_proxy&) = delete;
    fault_proxy& operator=(const fault_proxy&) = delete;
    ~fault_proxy();

    unsigned short port() const noexcept;

    /// For all connections, those to come included, until it is set anew.
    void set(direction way, conditions what);
    /// For one connection that is open; nothing where it is not.
    void set(connection_id of, direction way, conditions what);

    void accept(arrivals what);

    // A cut lets exactly `bytes` through and ends the connection; with 0, when the first byte comes, which is not passed
    // on. It happens once.

    /// Counts what passes over all connections from now; ends the one whose byte was the last.
    void cut(direction way, std::uint64_t bytes, ending how);
    /// Counts what passes over an open connection from now.
    void cut(connection_id of, direction way, std::uint64_t bytes, ending how);
    /// Counts from the start of the next connection that is accepted.
    void cut_next(direction way, std::uint64_t bytes, ending how);
    /// Forgets the cuts that have not happened.
    void disarm();

    /// Ends every connection now.
    void reset_all(ending how = ending::rst);
    /// No faults: no conditions, no cuts, connections are accepted. Stalled connections go on; those
    /// that were black-holed, or lost bytes, are ended.
    void calm();

    counts count() const;
    /// Those that are open.
    std::vector<connection_id> connections() const;
    /// The ports from which connections to a TCP server came that a fault has ended. A server process that is at work
    /// learns of that late, and neither side has asked for it.
    std::set<unsigned short> severed() const;

private:
    class impl;
    std::unique_ptr<impl> impl_;
};

/// The way over the server's Unix socket, where no password is wanted.
fault_proxy::target socket_of(const pgstate::embedded_server& server);
/// The way over TCP, with one.
fault_proxy::target tcp_of(const pgstate::embedded_server& server);

/// A URI through the proxy to a server that wants no password. It has parameters: add with "&".
std::string through(const fault_proxy& proxy, const std::string& database = "postgres");
/// A URI through the proxy to `tcp_of(server)`, with the password. Encryption is asked for first, as libpq does by
/// default. It has no parameters yet.
std::string through_with_password(const fault_proxy& proxy, const pgstate::embedded_server& server,
                                  const std::string& database = "postgres");

} // namespace pgstate_test

#endif
