#include "sql/settlement.hpp"
#include "wire/session.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>

namespace {

using pgstate::batch::settlement;
using pgstate::sql::judge;
using pgstate::sql::write_evidence;
using pgstate::sql::write_names;

constexpr std::int64_t store_a = std::int64_t{77} << 32;
constexpr std::int64_t store_b = std::int64_t{78} << 32;

/// The name of the write in question is store_a + 10, and it was to be over version 5 where `conditional`.
settlement verdict(bool fenced, bool there, std::optional<std::int64_t> last_writer, std::int64_t version = 9,
                   bool conditional = false) {
    write_evidence evidence;
    evidence.name = store_a + 10;
    evidence.fenced = fenced;
    evidence.there = there;
    evidence.last_writer = last_writer;
    evidence.version = version;
    if (conditional) evidence.if_version = 5;
    return judge(evidence);
}

} // namespace

TEST_CASE("a row that names the write has it", "[settlement]") {
    CHECK(verdict(false, true, store_a + 10) == settlement::applied);
    CHECK(verdict(true, true, store_a + 10) == settlement::applied);
    CHECK(verdict(true, true, store_a + 10, 5, true) == settlement::applied);
}

TEST_CASE("while the server may be at work on it nothing else is certain", "[settlement]") {
    CHECK(verdict(false, false, {}) == settlement::open);
    CHECK(verdict(false, true, {}) == settlement::open);
    CHECK(verdict(false, true, store_a + 9) == settlement::open);
    CHECK(verdict(false, true, store_a + 11) == settlement::open);
    CHECK(verdict(false, true, store_b + 10) == settlement::open);
    CHECK(verdict(false, true, {}, 5, true) == settlement::open);
}

TEST_CASE("a row as an earlier write of the same store left it has not seen the write", "[settlement]") {
    CHECK(verdict(true, true, store_a + 9) == settlement::not_applied);
    CHECK(verdict(true, true, store_a + 1) == settlement::not_applied);
    CHECK(verdict(true, true, store_a + 9, 9, true) == settlement::not_applied);
}

TEST_CASE("a row at the version that was to be replaced has not seen the write", "[settlement]") {
    CHECK(verdict(true, true, store_b + 1, 5, true) == settlement::not_applied);
    CHECK(verdict(true, true, {}, 5, true) == settlement::not_applied);
}

TEST_CASE("a row whose version is older than the write has not seen it", "[settlement]") {
    write_evidence evidence;
    evidence.name = store_a + 10;
    evidence.fenced = evidence.there = true;
    evidence.last_writer = store_b + 1;
    evidence.version = 1000;
    evidence.sent = 1001;
    CHECK(judge(evidence) == settlement::not_applied);
    evidence.last_writer.reset();
    CHECK(judge(evidence) == settlement::not_applied);
    evidence.sent = 1000;
    CHECK(judge(evidence) == settlement::unknown);
    evidence.sent = 1001;
    evidence.fenced = false;
    CHECK(judge(evidence) == settlement::open);
    evidence.fenced = true;
    evidence.there = false;
    CHECK(judge(evidence) == settlement::unknown);
}

TEST_CASE("the server's clock is known at the least", "[settlement]") {
    using namespace std::chrono_literals;
    pgstate::wire::backend server;
    const auto now = std::chrono::steady_clock::now();
    server.told = 5'000'000;
    server.told_at = now;
    CHECK(server.clock_at_least(now + 1s) == 0); // nobody knows who told
    server.pid = 7;
    CHECK(server.clock_at_least(now) == 5'000'000);
    CHECK(server.clock_at_least(now + 1s) == 5'999'000);
    CHECK(server.clock_at_least(now - 1s) == 0);
}

TEST_CASE("nobody can tell of a row that is gone or that somebody else wrote", "[settlement]") {
    CHECK(verdict(true, false, {}) == settlement::unknown);
    CHECK(verdict(true, false, {}, 0, true) == settlement::unknown);
    CHECK(verdict(true, true, {}) == settlement::unknown);
    CHECK(verdict(true, true, store_b + 9) == settlement::unknown);
    CHECK(verdict(true, true, store_b + 11) == settlement::unknown);
    CHECK(verdict(true, true, store_a + 11) == settlement::unknown);
    CHECK(verdict(true, true, {}, 6, true) == settlement::unknown);
}

TEST_CASE("names are positive, grow, and are one store's", "[settlement]") {
    write_names a;
    write_names b;
    std::set<std::int64_t> seen;
    auto last = a.next();
    for (int i = 0; i < 1000; ++i) {
        const auto next = a.next();
        CHECK(next > 0);
        CHECK(write_names::earlier(last, next));
        CHECK_FALSE(write_names::earlier(next, last));
        CHECK_FALSE(write_names::earlier(next, next));
        CHECK_FALSE(write_names::earlier(next, b.next()));
        seen.insert(next);
        last = next;
    }
    CHECK(seen.size() == 1000);
}
