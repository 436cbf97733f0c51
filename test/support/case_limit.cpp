// A limit for each case of a suite. Compiled into the executables, as nothing refers to it.

#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>

namespace {

/// Longer than any case takes under sanitizers on a busy machine, and less than ctest gives a suite.
constexpr unsigned most_seconds_of_a_case = 300;

pthread_t main_thread{};

/// Prints where the main thread is, and ends the process; Catch2 then prints which case it was. backtrace() is not safe in a
/// signal handler: at worst the process is killed without these lines.
extern "C" void end_the_case(int alarm) {
    if (::pthread_equal(::pthread_self(), main_thread) == 0) {
        ::pthread_kill(main_thread, alarm);
        return;
    }
    std::array<void*, 64> frames{};
    const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
    ::backtrace_symbols_fd(frames.data(), count, STDERR_FILENO);
    ::raise(SIGABRT);
}

/// Ends a case that hangs where `patience` does not see it: in a call that blocks the main thread.
class case_limit : public Catch::EventListenerBase {
public:
    using EventListenerBase::EventListenerBase;

    void testRunStarting(const Catch::TestRunInfo&) override {
        main_thread = ::pthread_self();
        ::signal(SIGALRM, end_the_case);
    }
    void testCaseStarting(const Catch::TestCaseInfo&) override { ::alarm(most_seconds_of_a_case); }
    void testCaseEnded(const Catch::TestCaseStats&) override { ::alarm(0); }
};

CATCH_REGISTER_LISTENER(case_limit)

} // namespace
