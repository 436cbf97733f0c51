#ifndef PGSTATE_TEST_FAULT_PROCESSES_HPP
#define PGSTATE_TEST_FAULT_PROCESSES_HPP

#include "pgstate/embedded_server.hpp"

#include <cstddef>
#include <vector>

namespace pgstate_test {

/// The processes of a server that are children of its postmaster: backends, and those that work for all.
std::vector<int> children_of(const pgstate::embedded_server& server);

/// While it lives, all of a server's processes stand still. Sockets are accepted by the kernel all the same.
class stopped_server {
public:
    explicit stopped_server(const pgstate::embedded_server& server);
    stopped_server(const stopped_server&) = delete;
    stopped_server& operator=(const stopped_server&) = delete;
    ~stopped_server();

private:
    std::vector<int> stopped_;
};

/// Of this process.
std::size_t open_descriptors();
/// Of this process, in bytes.
std::size_t resident_memory();

} // namespace pgstate_test

#endif
