#ifndef PGSTATE_TEST_FAULT_SOAK_FOREIGN_WRITERS_HPP
#define PGSTATE_TEST_FAULT_SOAK_FOREIGN_WRITERS_HPP

#include "fault/history.hpp"

#include <pqxx/connection>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace pgstate_test {

/// Writes states as the Go SDK does, which knows nothing of versions.
class foreign_writer {
public:
    struct settings {
        std::string connection_string;
        std::string agent;
        std::vector<std::string> keys;
        history::client_id client = 0;
        std::uint64_t seed = 0;
    };

    foreign_writer(settings how, std::atomic<history::write_id>& last_id);
    foreign_writer(const foreign_writer&) = delete;
    foreign_writer& operator=(const foreign_writer&) = delete;

    /// Waits for the statement that is under way, and returns all that was done.
    std::vector<history::write> finish();

private:
    void work(pqxx::connection& with, const std::stop_token& stop);

    const settings how_;
    std::atomic<history::write_id>& last_id_;
    std::vector<history::write> done_;
    std::jthread thread_;
};

} // namespace pgstate_test

#endif
