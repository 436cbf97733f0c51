#include "codec/validate.hpp"
#include "detail/utf8.hpp"
#include "support/run.hpp"
#include "support/states.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstdint>
#include <string>

using pgstate::detail::check_text;
using pgstate::detail::text_fault;
using namespace pgstate_test;
using pgstate::errc;
using namespace pgstate::codec;

namespace {

/// Encodes a code point as UTF-8 would, whether it may or not.
std::string encoded(std::uint32_t c) {
    const auto tail = [&](int shift) { return static_cast<char>(0x80 | ((c >> shift) & 0x3f)); };
    if (c < 0x80) return {static_cast<char>(c)};
    if (c < 0x800) return {static_cast<char>(0xc0 | c >> 6), tail(0)};
    if (c < 0x10000) return {static_cast<char>(0xe0 | c >> 12), tail(6), tail(0)};
    return {static_cast<char>(0xf0 | c >> 18), tail(12), tail(6), tail(0)};
}

} // namespace

TEST_CASE("just the code points of Unicode are text", "[validate]") {
    CHECK(check_text("") == text_fault::none);
    CHECK(check_text(std::string(1, '\0')) == text_fault::nul);
    for (std::uint32_t c = 1; c < 0x200000; ++c) {
        const bool valid = c < 0xd800 || (c > 0xdfff && c < 0x110000);
        if ((check_text(encoded(c)) == text_fault::none) != valid) FAIL("code point " << c);
    }
}

TEST_CASE("a fault is found wherever it stands", "[validate]") {
    for (std::size_t before = 0; before < 40; ++before) {
        for (std::size_t after = 0; after < 20; ++after) {
            const std::string front(before, 'a');
            const std::string back(after, '\x7f');
            REQUIRE(check_text(front + "\x01" + back) == text_fault::none);
            REQUIRE(check_text(front + "é日🤖" + back) == text_fault::none);
            REQUIRE(check_text(front + std::string(1, '\0') + back) == text_fault::nul);
            for (const auto& bad : bad_texts())
                REQUIRE(check_text(front + bad + back) != text_fault::none);
        }
    }
    // The first fault counts.
    CHECK(check_text(std::string("\0\xff", 2)) == text_fault::nul);
    CHECK(check_text(std::string("\xff\0", 2)) == text_fault::not_utf8);
}

TEST_CASE("a key names what is wrong with it", "[validate]") {
    CHECK_NOTHROW(validate_key("a", "s", "save"));
    CHECK_NOTHROW(validate_key(std::string(1300, 'a'), std::string(1300, 's'), "save"));
    const auto refusal = [](const std::string& a, const std::string& s) {
        return failure_of([&] { validate_key(a, s, "erase"); });
    };
    CHECK(std::string(refusal("", "s").what()).starts_with("erase: agent_id is empty"));
    CHECK(std::string(refusal("a", "").what()).starts_with("erase: session_id is empty"));
    CHECK(names(refusal("a", std::string("x\0", 2)), "session_id holds a NUL"));
    CHECK(names(refusal("\xff", "s"), "agent_id is not valid UTF-8"));
    const auto long_key = refusal(std::string(1300, 'a'), std::string(1301, 's'));
    CHECK(names(long_key, "2601"));
    CHECK(names(long_key, "2600"));
    CHECK(long_key == errc::invalid_argument);
    CHECK(long_key.operation() == "erase");
    // An agent by itself follows the same rules.
    CHECK_NOTHROW(validate_agent("a", "list"));
    CHECK(names(failure_of([] { validate_agent("", "list"); }), "agent_id"));
    CHECK(names(failure_of([] { validate_agent(std::string(2601, 'a'), "list"); }), "2601"));
}

TEST_CASE("options out of range are refused by name", "[validate]") {
    using namespace std::chrono_literals;
    CHECK_NOTHROW(validate_timeout(0ms, "load"));
    CHECK(names(failure_of([] { validate_timeout(-1ms, "load"); }), "timeout"));
    CHECK_NOTHROW(validate_list(pgstate::list_options(1)));
    CHECK_NOTHROW(validate_list(pgstate::list_options(10'000)));
    CHECK(names(failure_of([] { validate_list(pgstate::list_options(0)); }), "limit"));
    CHECK(names(failure_of([] { validate_list(pgstate::list_options(10'001)); }), "10001"));
    CHECK(names(failure_of([] { validate_list(pgstate::list_options(1, {}, -5ms)); }), "timeout"));
    CHECK_NOTHROW(validate_transaction({}));
    CHECK(names(failure_of([] { validate_transaction({.max_retries = -1}); }), "max_retries"));
    CHECK(names(failure_of([] { validate_transaction({.timeout = -1ms}); }), "timeout"));
}
