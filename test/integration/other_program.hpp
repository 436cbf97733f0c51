#ifndef PGSTATE_TEST_OTHER_PROGRAM_HPP
#define PGSTATE_TEST_OTHER_PROGRAM_HPP

#include "embedded/boost_process.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <string>

namespace pgstate_test {

namespace process = pgstate::embedded::process;

/// A process of its own that runs one hidden case (tagged "[.]") of this executable.
///
/// fork() alone will not do: a thread of the parent may hold a lock of libc's or OpenSSL's at that moment, and in the child
/// nobody would ever give it back (POSIX, fork: a child of a process with threads may only call what is safe in a signal).
class other_program {
public:
    explicit other_program(const std::string& hidden_case, const std::string& argument = {})
        : child_(process::exe = std::filesystem::read_symlink("/proc/self/exe").string(),
                 process::args = {hidden_case}, process::env["PGSTATE_TEST_ARGUMENT"] = argument,
                 process::std_in<process::null, process::std_out> process::null, process::std_err > answer_) {
    }

    /// Of the hidden case: its argument.
    static std::string argument() {
        const char* const given = std::getenv("PGSTATE_TEST_ARGUMENT");
        return given ? given : "";
    }
    /// Of the hidden case: adds to the answer.
    static void answer(const std::string& part) {
        std::fputs(part.c_str(), stderr); // not buffered
    }

    /// What the program answered; waits until it has ended or closed its streams.
    std::string answers() { return {std::istreambuf_iterator(answer_), {}}; }
    /// Waits for the end; whether it was a success.
    bool succeeds() {
        child_.wait();
        return child_.exit_code() == 0;
    }

private:
    process::ipstream answer_;
    process::child child_;
};

} // namespace pgstate_test

#endif
