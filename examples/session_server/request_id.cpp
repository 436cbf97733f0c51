#include "request_id.hpp"

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <algorithm>
#include <cstddef>

namespace session_server {
namespace {

constexpr std::size_t longest_id = 128;

bool is_safe(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

} // namespace

std::string request_id(std::string_view given) {
    if (!given.empty() && given.size() <= longest_id && std::all_of(given.begin(), given.end(), is_safe))
        return std::string(given);
    thread_local boost::uuids::random_generator_mt19937 generate; // seeded by the system
    return boost::uuids::to_string(generate());
}

} // namespace session_server
