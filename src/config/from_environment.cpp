#include "pgstate/config.hpp"
#include "pgstate/error.hpp"

#include <cstdlib>

namespace pgstate {

config config::from_environment() {
    // Unsafe only beside a setenv, which no program with threads may call.
    // NOLINTNEXTLINE(concurrency-mt-unsafe)
    const char* url = std::getenv("DATABASE_URL");
    if (url == nullptr || *url == '\0') {
        throw error(
            errc::invalid_argument, "config::from_environment",
            "the environment variable DATABASE_URL is not set or empty; set it to a connection string such as "
            "postgres://user:password@host:5432/database");
    }
    config result;
    result.connection_string = url;
    return result;
}

} // namespace pgstate
