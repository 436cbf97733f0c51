#include "wire/ending.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace pgstate::wire {
namespace {

/// A host that does not even acknowledge the end of the connection for so long, in milliseconds, counts as gone with its
/// processes (TCP_USER_TIMEOUT in tcp(7)).
constexpr unsigned unreachable_after = 10'000;

} // namespace

ending::ending(int socket) noexcept : socket_(socket) {
    ::setsockopt(socket_, IPPROTO_TCP, TCP_USER_TIMEOUT, &unreachable_after, sizeof unreachable_after);
    ::shutdown(socket_, SHUT_WR);
}

ending::~ending() {
    if (socket_ >= 0) ::close(socket_);
}

bool ending::over() noexcept {
    std::array<char, 4096> ignored;
    for (;;) {
        const auto got = ::recv(socket_, ignored.data(), ignored.size(), MSG_DONTWAIT);
        if (got > 0 || (got < 0 && errno == EINTR)) continue;
        return got == 0 || errno != EAGAIN; // on Linux, EWOULDBLOCK is the same
    }
}

} // namespace pgstate::wire
