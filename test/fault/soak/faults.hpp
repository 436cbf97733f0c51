#ifndef PGSTATE_TEST_FAULT_SOAK_FAULTS_HPP
#define PGSTATE_TEST_FAULT_SOAK_FAULTS_HPP

#include "fault/proxy.hpp"
#include "pgstate/embedded_server.hpp"

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate_test {

/// True of the server processes of the stores that are soaked, in SQL on pg_stat_activity.
inline constexpr std::string_view soaked_processes = "application_name IN ('soak', 'soak-second')";

/// The faults, one after the other, each healed before the next.
class tormentor {
public:
    tormentor(pgstate::embedded_server& server, fault_proxy& proxy, std::uint64_t seed, bool verbose)
        : server_(server), proxy_(proxy), random_(seed), verbose_(verbose) {}

    /// Returns when the fault is over and the server accepts connections; its name.
    std::string next();

private:
    std::uint64_t any(std::uint64_t from, std::uint64_t to);
    void last(std::uint64_t from_ms, std::uint64_t to_ms);
    fault_proxy::direction either_direction();
    fault_proxy::ending either_ending();

    void cut();
    void reset();
    void stall();
    void black_hole();
    void refuse();
    void terminate_backends();
    void kill_backend();
    void quit_postmaster();
    void kill_postmaster();
    void begin_anew();
    void stop_processes();
    void restart();
    void wait_for_server();

    pgstate::embedded_server& server_;
    fault_proxy& proxy_;
    std::mt19937_64 random_;
    const bool verbose_;
    std::vector<std::size_t> order_;
};

} // namespace pgstate_test

#endif
