#include "batch/time_limits.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <optional>
#include <vector>

namespace {

using namespace std::chrono_literals;
using pgstate::batch::limits_in;
using pgstate::batch::longest_silence;
using pgstate::batch::manner;
using pgstate::batch::time_frame;
using pgstate::batch::time_limits;
using milliseconds = std::chrono::milliseconds;

} // namespace

TEST_CASE("a statement ends on the server with its last caller's time, a wait for a lock before",
          "[limits]") {
    const struct {
        time_frame given;
        std::optional<milliseconds> statement;
        std::optional<milliseconds> lock;
    } table[] = {
        // Reads: the session's own end is near enough, or there is none.
        {{.longest = 30s, .of_session = 30s}, {}, {}},
        {{.longest = 29'600ms, .of_session = 30s}, {}, {}},
        {{.longest = 29'400ms, .of_session = 30s}, 29'400ms, {}},
        {{.longest = 30s}, 30s, {}},
        {{.of_session = 30s}, {}, {}},
        {{}, {}, {}},
        // What is over has a millisecond; what is not a millisecond is rounded up.
        {{.longest = -5ms, .of_session = 30s}, 1ms, {}},
        {{.longest = 20'100us, .of_session = 30s}, 21ms, {}},
        // Writes wait for a lock for their usual time, within bounds.
        {{.longest = 30s, .of_session = 30s, .locks_rows = true}, {}, 50ms},
        {{.longest = 30s, .of_session = 30s, .usual = 5ms, .locks_rows = true}, {}, 5ms},
        {{.longest = 30s, .of_session = 30s, .usual = 6ms, .locks_rows = true}, {}, 10ms},
        {{.longest = 30s, .of_session = 30s, .usual = 1s, .locks_rows = true}, {}, 100ms},
        {{.locks_rows = true}, {}, 50ms},
        {{.longest = 30s, .of_session = 30s, .usual = 6ms, .lock_wait = 3s, .locks_rows = true}, {}, 3s},
        {{.longest = 30s, .of_session = 30s, .lock_wait = 1min, .locks_rows = true}, {}, 27s},
        {{.longest = 20ms, .of_session = 30s, .locks_rows = true}, 20ms, 18ms},
        {{.longest = 0ms, .of_session = 30s, .locks_rows = true}, 1ms, 1ms},
        // Or as long as their time allows.
        {{.longest = 10s, .of_session = 30s, .locks_rows = true, .how = manner::waiting}, 10s, 9s},
        {{.of_session = 30s, .locks_rows = true, .how = manner::waiting}, {}, {}},
    };
    for (const auto& [given, statement, lock] : table)
        CHECK(limits_in(given) == time_limits{statement, lock});
}

TEST_CASE("a server that is silent for longer than a statement's last caller waits is given up", "[limits]") {
    CHECK(longest_silence({.longest = 2s}) == 3s);
    CHECK(longest_silence({.longest = -2s}) == 1s);
    CHECK_FALSE(longest_silence({}));
}
