#include "support/blocking_calls.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <mutex>

namespace {

thread_local bool watched = false;
thread_local std::vector<std::string>* offences = nullptr;

void note(const char* function) {
    if (watched && offences) offences->emplace_back(function);
}

bool blocks(int socket, int flags) {
    return (flags & MSG_DONTWAIT) == 0 && (::fcntl(socket, F_GETFL) & O_NONBLOCK) == 0;
}

template <class Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

std::mutex resolver_mutex;
std::condition_variable resolver_changed;
bool resolver_is_slow = false;

} // namespace

// In front of the C library's: what the linker finds first is what every library calls.
extern "C" {

int poll(pollfd* entries, nfds_t count, int timeout) {
    static auto* const real = next<int(pollfd*, nfds_t, int)>("poll");
    if (timeout != 0) note("poll");
    return real(entries, count, timeout);
}

int ppoll(pollfd* entries, nfds_t count, const timespec* timeout, const sigset_t* mask) {
    static auto* const real = next<int(pollfd*, nfds_t, const timespec*, const sigset_t*)>("ppoll");
    note("ppoll");
    return real(entries, count, timeout, mask);
}

int select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
    static auto* const real = next<int(int, fd_set*, fd_set*, fd_set*, timeval*)>("select");
    note("select");
    return real(count, read, write, except, timeout);
}

int connect(int socket, const sockaddr* address, socklen_t length) {
    static auto* const real = next<int(int, const sockaddr*, socklen_t)>("connect");
    if (blocks(socket, 0)) note("connect");
    return real(socket, address, length);
}

ssize_t recv(int socket, void* buffer, size_t length, int flags) {
    static auto* const real = next<ssize_t(int, void*, size_t, int)>("recv");
    if (blocks(socket, flags)) note("recv");
    return real(socket, buffer, length, flags);
}

ssize_t send(int socket, const void* buffer, size_t length, int flags) {
    static auto* const real = next<ssize_t(int, const void*, size_t, int)>("send");
    if (blocks(socket, flags)) note("send");
    return real(socket, buffer, length, flags);
}

int nanosleep(const timespec* asked, timespec* left) {
    static auto* const real = next<int(const timespec*, timespec*)>("nanosleep");
    note("nanosleep");
    return real(asked, left);
}

int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** found) {
    static auto* const real = next<int(const char*, const char*, const addrinfo*, addrinfo**)>("getaddrinfo");
    note("getaddrinfo");
    if (node && std::strcmp(node, "slow.resolver.test") == 0) {
        std::unique_lock lock(resolver_mutex);
        resolver_changed.wait(lock, [] { return !resolver_is_slow; });
        return EAI_AGAIN;
    }
    return real(node, service, hints, found);
}

} // extern "C"

namespace pgstate_test {

no_blocking_here::no_blocking_here() {
    if (!offences)
        offences = new std::vector<std::string>; // read by calls that come as late as the thread's end
    offences->clear();
    watched = true;
}

no_blocking_here::~no_blocking_here() {
    watched = false;
    delete offences;
    offences = nullptr;
}

std::vector<std::string> no_blocking_here::seen() {
    return offences ? *offences : std::vector<std::string>();
}

slow_resolver::slow_resolver() {
    const std::lock_guard lock(resolver_mutex);
    resolver_is_slow = true;
}

slow_resolver::~slow_resolver() {
    {
        const std::lock_guard lock(resolver_mutex);
        resolver_is_slow = false;
    }
    resolver_changed.notify_all();
}

} // namespace pgstate_test
