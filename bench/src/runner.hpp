#ifndef PGSTATE_BENCH_RUNNER_HPP
#define PGSTATE_BENCH_RUNNER_HPP

#include "phase.hpp"
#include "workload.hpp"

#include <cstddef>
#include <memory>
#include <string>

namespace bench {

/// Connections to the server, and callers that use them.
class runner {
public:
    runner() = default;
    runner(const runner&) = delete;
    runner& operator=(const runner&) = delete;
    virtual ~runner() = default;

    /// Starts the callers and waits until they have ended.
    virtual outcome run(const workload& work, phase& now) = 0;
    /// Makes each connection report its statements to the server's statistics, connecting it if it is not yet.
    virtual void flush_statistics() = 0;
    /// The statements that flush_statistics costs.
    virtual std::size_t connections() = 0;
    virtual void close() = 0;
};

/// The store, as `chosen.mode` and `chosen.batch` say.
std::unique_ptr<runner> make_store_runner(engine& runs_on, const arguments& chosen, const std::string& url);

/// Blocking connections on threads of their own.
std::unique_ptr<runner> make_pqxx_runner(engine& runs_on, const arguments& chosen, const std::string& url);

} // namespace bench

#endif
