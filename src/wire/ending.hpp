#ifndef PGSTATE_WIRE_ENDING_HPP
#define PGSTATE_WIRE_ENDING_HPP

#include <utility>

namespace pgstate::wire {

/// A connection that was given up while its server process may be at work. Nothing is sent any more, which that process
/// notices (client_connection_check_interval), and when it ends, the server's system closes its end.
///
/// Behind a pooler it is the pooler that closes it, whatever the server's process does.
class ending {
public:
    /// Takes the socket, and says that nothing more will be sent on it.
    explicit ending(int socket) noexcept;
    ending(ending&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
    ending& operator=(ending&& other) noexcept {
        std::swap(socket_, other.socket_);
        return *this;
    }
    ~ending();

    /// The other end is closed, or cannot be reached. Never blocks.
    bool over() noexcept;

private:
    int socket_;
};

} // namespace pgstate::wire

#endif
