#ifndef PGSTATE_TEST_FAULT_SOAK_DIRECT_SESSIONS_HPP
#define PGSTATE_TEST_FAULT_SOAK_DIRECT_SESSIONS_HPP

#include "fault/proxy.hpp"

#include <pqxx/connection>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace pgstate_test {

/// A thread with a session of its own, not through the proxy. `work` is called again with a new one after each fault of the
/// server, until the thread is asked to stop.
std::jthread keep_session(std::string connection_string,
                          std::function<void(pqxx::connection&, const std::stop_token&)> work);

/// Locks one to three rows at a time, mostly for up to 0.4 s, now and then for 2 s, as somebody at psql does. They are of the
/// agent's states with these keys.
/// \param locked  how often it held such locks
std::jthread lock_rows(std::string connection_string, std::string agent, std::vector<std::string> keys,
                       std::uint64_t seed, std::atomic<std::size_t>& locked);

/// Looks all the time how many server processes a store has.
class backend_watch {
public:
    struct findings {
        std::size_t looks = 0;
        std::size_t most = 0;     ///< at one look
        std::size_t excesses = 0; ///< looks at which there were more than allowed
        std::string first_excess; ///< those processes
    };

    /// \param through  processes whose connection a fault has severed do not count: they may not know yet
    backend_watch(std::string connection_string, std::string application_name, const fault_proxy& through,
                  std::size_t allowed);

    findings finish();

private:
    void look(pqxx::connection& with);

    const std::string application_name_;
    const fault_proxy& through_;
    const std::size_t allowed_;
    findings found_; ///< the thread's, until it has ended
    std::jthread thread_;
};

} // namespace pgstate_test

#endif
