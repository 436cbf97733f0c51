#include "fault/processes.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace pgstate_test {

std::vector<int> children_of(const pgstate::embedded_server& server) {
    const auto pid = std::to_string(server.pid());
    std::ifstream list("/proc/" + pid + "/task/" + pid + "/children");
    return {std::istream_iterator<int>(list), std::istream_iterator<int>()};
}

stopped_server::stopped_server(const pgstate::embedded_server& server) {
    // The postmaster first: then nobody is added. The list of children may lack one while another ends (proc(5),
    // /proc/pid/task/tid/children), and is complete once nothing on it is new.
    stopped_.push_back(server.pid());
    ::kill(server.pid(), SIGSTOP);
    for (bool more = true; more;) {
        more = false;
        for (const int each : children_of(server)) {
            if (std::find(stopped_.begin(), stopped_.end(), each) != stopped_.end()) continue;
            stopped_.push_back(each);
            ::kill(each, SIGSTOP);
            more = true;
        }
    }
}

stopped_server::~stopped_server() {
    for (const int each : stopped_)
        ::kill(each, SIGCONT);
}

std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::size_t resident_memory() {
    std::size_t total = 0;
    std::size_t resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace pgstate_test
