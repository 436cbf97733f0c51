#ifndef PGSTATE_CLI_PROGRESS_HPP
#define PGSTATE_CLI_PROGRESS_HPP

#include <chrono>
#include <cstdint>

namespace pgstate::cli {

/// A line on standard error that says how far a transfer is; ten times a second at most, and only for a person.
class progress {
public:
    explicit progress(bool shown) : shown_(shown) {}
    ~progress() { clear(); }
    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;

    /// \param part, whole  in any unit; whole 0: not known
    void show(std::int64_t states, std::uint64_t part, std::uint64_t whole);
    void clear();

private:
    using clock = std::chrono::steady_clock;

    const bool shown_;
    bool visible_ = false;
    const clock::time_point begun_ = clock::now();
    clock::time_point last_{};
};

} // namespace pgstate::cli

#endif
