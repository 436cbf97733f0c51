#ifndef PGSTATE_TEST_BLOCKING_CALLS_HPP
#define PGSTATE_TEST_BLOCKING_CALLS_HPP

#include <string>
#include <vector>

namespace pgstate_test {

/// While it lives, this thread must not block outside the event loop's own epoll_wait: calls that would are recorded.
/// They are seen because the test program defines poll, select, getaddrinfo, recv and the like itself, in front of the
/// C library's, for every library in the process.
class no_blocking_here {
public:
    no_blocking_here();
    no_blocking_here(const no_blocking_here&) = delete;
    no_blocking_here& operator=(const no_blocking_here&) = delete;
    ~no_blocking_here();

    /// The names of the offending functions so far, in order.
    static std::vector<std::string> seen();
};

/// While it lives, looking up the host "slow.resolver.test" takes until it ends (and then fails).
class slow_resolver {
public:
    slow_resolver();
    slow_resolver(const slow_resolver&) = delete;
    slow_resolver& operator=(const slow_resolver&) = delete;
    ~slow_resolver();
};

} // namespace pgstate_test

#endif
