#include "embedded/child_process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <thread>

namespace pgstate::embedded {
namespace {

// Asio's sockets and others' are not marked close-on-exec: a server that held them would keep connections alive that
// this process has closed. Marking, not closing: Boost.Process reports a failing exec through a descriptor.
void keep_descriptors_from_exec() {
#ifdef SYS_close_range
    constexpr unsigned close_on_exec = 1U << 2;
    if (::syscall(SYS_close_range, 3U, ~0U, close_on_exec) == 0) return;
#endif
    constexpr long enough = 65536;
    const long open_max = ::sysconf(_SC_OPEN_MAX);
    const int end = static_cast<int>(open_max > 0 && open_max < enough ? open_max : enough);
    for (int descriptor = 3; descriptor < end; ++descriptor)
        ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

// What happens in the child between fork() and exec: only calls that are safe there in a program with threads.
class child_setup : public process::extend::handler {
public:
    child_setup(const account& user, bool ends_with_parent)
        : user_(user), parent_(::getpid()), ends_with_parent_(ends_with_parent) {}

    template <class Executor>
    void on_exec_setup(Executor& executor) {
        keep_descriptors_from_exec();
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        ::setsid();
        const char* failed = nullptr;
        if (user_.differs) {
            if (::setgroups(user_.groups.size(), user_.groups.data()) != 0)
                failed = "setgroups";
            else if (::setgid(user_.gid) != 0)
                failed = "setgid";
            else if (::setuid(user_.uid) != 0)
                failed = "setuid";
        }
        // This process's own directory may be closed to the other user.
        if (!failed && ::chdir("/") != 0) failed = "chdir";
        if (failed) {
            executor.set_error(std::error_code(errno, std::system_category()), failed);
            ::_exit(EXIT_FAILURE); // or Boost.Process would go on to exec, as root
        }
        // After the change of user, which clears it. The signal is PostgreSQL's fast shutdown.
        if (ends_with_parent_) {
            ::prctl(PR_SET_PDEATHSIG, SIGINT);
            if (::getppid() != parent_) ::_exit(EXIT_FAILURE);
        }
    }

private:
    const account& user_;
    pid_t parent_;
    bool ends_with_parent_;
};

// The kernel sends the signal when the thread that forked ends, so only the main thread's children can have it.
bool on_main_thread() {
    return ::syscall(SYS_gettid) == ::getpid();
}

} // namespace

child_process::child_process(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                             const account& user, std::FILE* output) {
    try {
        child_ = process::child(process::exe = program.string(), process::args = arguments,
                                process::env["LC_ALL"] = "C", // messages and formats in one known language
                                process::std_in<process::null, (process::std_out & process::std_err)> output,
                                child_setup(user, on_main_thread()));
    } catch (const process::process_error& failure) {
        fail(errc::unavailable,
             "'" + program.string() + "' cannot be run as the user '" + user.name + "': " + failure.what());
    }
}

bool child_process::running() {
    std::error_code ignored;
    return child_.valid() && child_.running(ignored);
}

void child_process::signal(int number) {
    if (running()) ::kill(child_.id(), number);
}

bool child_process::wait(deadline until) {
    while (running()) {
        if (std::chrono::steady_clock::now() >= until) return false;
        std::this_thread::sleep_for(poll_interval);
    }
    return true;
}

void child_process::kill() noexcept {
    try {
        if (!running()) return;
        ::kill(-child_.id(), SIGKILL); // it leads its own session, and so a process group
        std::error_code ignored;
        child_.wait(ignored);
    } catch (...) {
        // an allocation failed: Boost.Process's own destructor terminates the child
    }
}

finished run(const std::filesystem::path& program, const std::vector<std::string>& arguments,
             const account& user, deadline until) {
    file_ptr output(std::tmpfile());
    if (!output) fail_with_errno("no temporary file can be made");
    child_process child(program, arguments, user, output.get());
    const bool ended = child.wait(until);
    if (!ended) child.kill();

    finished result;
    std::rewind(output.get());
    char buffer[4096];
    while (const auto size = std::fread(buffer, 1, sizeof buffer, output.get()))
        result.output.append(buffer, size);
    if (!ended)
        fail(errc::unavailable,
             "'" + program.string() +
                 "' took longer than embedded_server_options::start_timeout and was ended; its output: " +
                 result.output);
    result.exit_code = child.exit_code();
    return result;
}

} // namespace pgstate::embedded
