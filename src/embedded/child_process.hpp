#pragma once

#include "embedded/account.hpp"
#include "embedded/boost_process.hpp"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace pgstate::embedded {

using deadline = std::chrono::steady_clock::time_point;

/// Between two looks at something that cannot be waited for.
constexpr std::chrono::milliseconds poll_interval{5};

struct close_file {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using file_ptr = std::unique_ptr<std::FILE, close_file>;

/// A program that runs as `account`, in a session of its own (a Ctrl-C at the terminal is not for it), with
/// no other descriptor of this process than the file its output goes to.
///
/// Thread safety: one object from one thread at a time. Destructor: kills the program if it still runs.
class child_process {
public:
    child_process() = default;

    /// \throws error unavailable - it cannot be executed, or not as `user`
    child_process(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                  const account& user, std::FILE* output);

    child_process(child_process&&) noexcept = default;
    child_process& operator=(child_process&&) noexcept = delete;
    ~child_process() { kill(); }

    bool running();
    int pid() const { return static_cast<int>(child_.id()); }
    int exit_code() const { return child_.exit_code(); }

    void signal(int number);

    /// Whether the program has ended before `until`.
    bool wait(deadline until);

    /// Ends the program and whatever else is in its session's process group, and waits for it.
    void kill() noexcept;

private:
    process::child child_;
};

/// What a program that has ended left behind.
struct finished {
    int exit_code = 0;
    std::string output; ///< of both streams
};

/// Runs a program to its end; one that takes longer than `until` is killed.
/// \throws error unavailable - it cannot be executed, or took too long
finished run(const std::filesystem::path& program, const std::vector<std::string>& arguments,
             const account& user, deadline until);

} // namespace pgstate::embedded
