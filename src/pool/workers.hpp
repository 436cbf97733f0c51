#ifndef PGSTATE_POOL_WORKERS_HPP
#define PGSTATE_POOL_WORKERS_HPP

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

namespace pgstate::pool {

/// Threads for what blocks: connecting, the users' pqxx code, hooks. Made when they are needed, up to a limit.
///
/// A thread may be stuck where nobody can reach it (in getaddrinfo, in a user's function). So none is ever joined: the
/// threads share their queue and outlive this object; those at rest end with it, a stuck one ends when it gets free.
/// A job must therefore own, or hold weakly, whatever it uses.
class workers {
public:
    using job = std::function<void()>;

    explicit workers(std::size_t most);
    workers(const workers&) = delete;
    workers& operator=(const workers&) = delete;
    /// Jobs that have not begun are dropped.
    ~workers();

    /// Runs `work` on a thread as soon as one is free.
    void post(job work);

    /// Calls `work` on some thread every `period` from now on.
    void every(std::chrono::milliseconds period, job work);
    /// Calls `work` on some thread, once, when `delay` has passed.
    void after(std::chrono::steady_clock::duration delay, job work);

private:
    struct shared;
    void add(std::chrono::steady_clock::duration delay, std::chrono::milliseconds period, job work);
    std::shared_ptr<shared> shared_;
};

} // namespace pgstate::pool

#endif
