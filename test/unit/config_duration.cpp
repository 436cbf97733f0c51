#include "config/duration.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;

TEST_CASE("durations are read in Go's syntax", "[config]") {
    struct readable {
        std::chrono::milliseconds value;
        std::vector<std::string_view> texts;
    };
    // What is finer is rounded up to whole milliseconds.
    for (const auto& [value, texts] : std::vector<readable>{
             {0ms, {"0", "+0", "0s", "0h0m0s", "0.000s"}},
             {5s, {"5s", "+5s"}},
             {500ms, {"500ms"}},
             {30min, {"30m", ".5h"}},
             {1h, {"1h"}},
             {90min, {"1h30m", "1.5h"}},
             {3'661'001ms, {"1h1m1s1ms"}},
             {61min, {"1m1h"}},
             {2s, {"1s1s"}},
             {1s, {"1.s", "00000000000000000000000000001s"}},
             {18min, {"0.3h"}},
             {1'001ms, {"1.001s", "1.0005s"}},
             {100ms, {"0.100000000000000000000000000000000000s"}},
             {1ms,
              {"1000us", "1000000ns", "300us", "1ns", "0.5ns", "0.0000000000000000000000000000000000001s"}},
             {2ms, {"2000\xC2\xB5s", "1000001ns", "600us600us"}},
             {3ms, {"3000\xCE\xBCs"}},
             {1'200'000ms, {"0.333333333333333333h"}},
             {9'223'372'036'855ms, {"2562047h47m16.854775807s"}},
         })
        for (const auto text : texts) {
            CAPTURE(text);
            CHECK(pgstate::settings::parse_duration(text) == value);
        }
}

TEST_CASE("what is no duration, or one over Go's limit, is refused", "[config]") {
    const std::vector<std::string_view> no_durations{
        "",      "+",     "-",      "-1s",  "-0",   "++1s", "1",    "00",  "1.5",    ".",
        ".s",    "s",     "1x",     "1S",   "1d",   "1hs",  "1mh",  "1h ", " 1h",    "1 h",
        "1h 5m", "1..5s", "1.5.5s", "1e3s", "0x1s", "1h30", "1,5s", "one", "1\xC2s", "never"};
    const std::vector<std::string_view> over_the_limit{
        "2562047h47m16.854775808s", "2562048h",           "9223372036854775808ns",
        "18446744073709551616ns",   "9223372036855ms",    "99999999999999999999999999999h",
        "9223372036s9223372036s",   "2562047h47m16s0.9s", "2562047h0.9h"};
    for (const auto& texts : {no_durations, over_the_limit})
        for (const auto text : texts) {
            CAPTURE(text);
            CHECK_FALSE(pgstate::settings::parse_duration(text).has_value());
        }
}
