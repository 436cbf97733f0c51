#include "sql/settlement.hpp"
#include "sql/write_names.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>

namespace {

using pgstate::batch::settlement;
using pgstate::sql::judge;
using pgstate::sql::write_evidence;
using pgstate::sql::write_names;
using pgstate::wire::uuid;

constexpr unsigned char store_a = 77;
constexpr unsigned char store_b = 78;

uuid name_of(unsigned char store, unsigned char count) {
    uuid name{};
    name[0] = store;
    name[15] = count;
    return name;
}

/// Of a write of store A with the number 10, whose server process has ended. Nothing is left of it in the row.
write_evidence evidence_of(std::optional<uuid> last_writer, std::int64_t version = 9) {
    write_evidence evidence;
    evidence.name = name_of(store_a, 10);
    evidence.fenced = evidence.exists = true;
    evidence.last_writer = last_writer;
    evidence.version = version;
    return evidence;
}

write_evidence evidence_of_nothing() {
    auto evidence = evidence_of({}, 0);
    evidence.exists = false;
    return evidence;
}

/// The same where the write was to replace `version`.
write_evidence over(std::int64_t version, write_evidence evidence) {
    evidence.if_version = version;
    return evidence;
}

write_evidence unfenced(write_evidence evidence) {
    evidence.fenced = false;
    return evidence;
}

/// The same where it is known when the row was written.
write_evidence evidence_at(std::uint64_t xmin, std::optional<std::uint64_t> horizon, std::uint64_t next,
                           write_evidence evidence = evidence_of(name_of(store_b, 1))) {
    evidence.xmin = static_cast<std::uint32_t>(xmin);
    evidence.horizon = horizon;
    evidence.next = next;
    return evidence;
}

constexpr std::uint64_t wrap = std::uint64_t{1} << 32;

} // namespace

TEST_CASE("a row that names the write has it", "[settlement]") {
    const auto it = name_of(store_a, 10);
    CHECK(judge(unfenced(evidence_of(it))) == settlement::applied);
    CHECK(judge(evidence_of(it)) == settlement::applied);
    CHECK(judge(over(5, evidence_of(it, 5))) == settlement::applied);
    CHECK(judge(evidence_at(90, 100, 110, evidence_of(it))) == settlement::applied);
}

TEST_CASE("while the server may be at work on it nothing else is certain", "[settlement]") {
    for (const auto& evidence : {evidence_of_nothing(), evidence_of({}), evidence_of(name_of(store_a, 9)),
                                 evidence_of(name_of(store_a, 11)), evidence_of(name_of(store_b, 10)),
                                 over(5, evidence_of({}, 5)), evidence_at(90, 100, 110)})
        CHECK(judge(unfenced(evidence)) == settlement::open);
    auto touch = unfenced(evidence_of({}));
    touch.repeatable = true;
    CHECK(judge(touch) == settlement::open);
}

TEST_CASE("a row as an earlier write of the same store left it has not seen the write", "[settlement]") {
    CHECK(judge(evidence_of(name_of(store_a, 9))) == settlement::not_applied);
    CHECK(judge(evidence_of(name_of(store_a, 1))) == settlement::not_applied);
    CHECK(judge(over(5, evidence_of(name_of(store_a, 9)))) == settlement::not_applied);
}

TEST_CASE("a row at the version that was to be replaced has not seen the write", "[settlement]") {
    CHECK(judge(over(5, evidence_of(name_of(store_b, 1), 5))) == settlement::not_applied);
    CHECK(judge(over(5, evidence_of({}, 5))) == settlement::not_applied);
}

TEST_CASE("a row of a transaction that was over before the write has not seen it", "[settlement]") {
    CHECK(judge(evidence_at(99, 100, 110)) == settlement::not_applied);
    CHECK(judge(evidence_at(3, 100, 110)) == settlement::not_applied);
    CHECK(judge(evidence_at(99, 100, 110, evidence_of({}))) == settlement::not_applied);
    CHECK(judge(evidence_at(100, 100, 110)) == settlement::unknown);
    CHECK(judge(evidence_at(109, 100, 110)) == settlement::unknown);
    CHECK(judge(unfenced(evidence_at(99, 100, 110))) == settlement::open);
    CHECK(judge(evidence_at(99, 100, 110, evidence_of_nothing())) == settlement::unknown);
}

TEST_CASE("a write that may be applied twice needs to be over only", "[settlement]") {
    for (auto evidence : {evidence_of_nothing(), evidence_of({}), evidence_of(name_of(store_b, 9))}) {
        evidence.repeatable = true;
        CHECK(judge(evidence) == settlement::not_applied);
    }
}

TEST_CASE("nobody can tell of a row that is gone or that somebody else wrote", "[settlement]") {
    for (const auto& evidence : {evidence_of_nothing(), over(5, evidence_of_nothing()), evidence_of({}),
                                 evidence_of(name_of(store_b, 9)), evidence_of(name_of(store_b, 11)),
                                 evidence_of(name_of(store_a, 11)), over(5, evidence_of({}, 6))})
        CHECK(judge(evidence) == settlement::unknown);
}

// What has happened in each of these is told first, then what is found.

TEST_CASE("another program's insert that drew its version early and came late", "[settlement]") {
    // It drew 7 and waited. The write made the state with version 8, and somebody erased it.
    CHECK(judge(evidence_at(105, 100, 110, evidence_of({}, 7))) == settlement::unknown);
    CHECK(judge(evidence_of({}, 7)) == settlement::unknown);
}

TEST_CASE("a state that was erased and made again", "[settlement]") {
    // The write replaced version 5; what it made was erased.
    CHECK(judge(over(5, evidence_of(name_of(store_b, 3), 12))) == settlement::unknown);
    CHECK(judge(over(5, evidence_at(105, 100, 110))) == settlement::unknown);
    CHECK(judge(over(5, evidence_of_nothing())) == settlement::unknown);
}

TEST_CASE("a row whose version is above the sequence", "[settlement]") {
    constexpr auto greatest = std::numeric_limits<std::int64_t>::max();
    // The write was to replace it, and did not.
    CHECK(judge(over(greatest, evidence_of({}, greatest))) == settlement::not_applied);
    // It did, with a lower version, and somebody wrote over that.
    CHECK(judge(over(greatest, evidence_of({}, 12))) == settlement::unknown);
    // Somebody wrote it by hand over what the write had made.
    CHECK(judge(evidence_at(105, 100, 110, evidence_of({}, greatest))) == settlement::unknown);
}

TEST_CASE("a promotion or a restart between the write and the look", "[settlement]") {
    // Numbers were given out again: nothing follows from one that is low.
    CHECK(judge(evidence_at(99, {}, 110)) == settlement::unknown);
    CHECK(judge(over(5, evidence_at(99, {}, 110))) == settlement::unknown);
    CHECK(judge(over(9, evidence_at(99, {}, 110))) == settlement::not_applied);
}

TEST_CASE("a transaction that began before the write and saved after it", "[settlement]") {
    // It has number 100, which no horizon passes while it runs, and wrote over what the write had left.
    CHECK(judge(evidence_at(100, 100, 110, evidence_of({}))) == settlement::unknown);
    CHECK(judge(evidence_at(101, 100, 110, evidence_of({}))) == settlement::unknown); // in a savepoint
}

TEST_CASE("two stores whose counters are equal", "[settlement]") {
    CHECK(judge(evidence_of(name_of(store_b, 10))) == settlement::unknown);
    CHECK(judge(unfenced(evidence_of(name_of(store_b, 10)))) == settlement::open);
    CHECK(judge(evidence_at(99, 100, 110, evidence_of(name_of(store_b, 10)))) == settlement::not_applied);
}

TEST_CASE("transaction numbers are compared where they wrap around", "[settlement]") {
    CHECK(judge(evidence_at(wrap - 5, wrap + 10, wrap + 20)) == settlement::not_applied);
    CHECK(judge(evidence_at(wrap + 5, wrap + 10, wrap + 20)) == settlement::not_applied);
    CHECK(judge(evidence_at(wrap + 15, wrap + 10, wrap + 20)) == settlement::unknown);
    CHECK(judge(evidence_at(wrap + 15, wrap - 10, wrap + 20)) == settlement::unknown);
    CHECK(judge(evidence_at(5 * wrap + 5, 5 * wrap + 10, 5 * wrap + 20)) == settlement::not_applied);
}

TEST_CASE("a frozen row, whose number is old, may look new but never the other way round", "[settlement]") {
    constexpr std::uint64_t bootstrap = 1;
    constexpr std::uint64_t frozen = 2; // as servers before 9.4 wrote it
    CHECK(judge(evidence_at(frozen, 100, 110)) == settlement::not_applied);
    CHECK(judge(evidence_at(bootstrap, 100, 110)) == settlement::not_applied);
    CHECK(judge(evidence_at(frozen, wrap - 100, wrap - 50)) ==
          settlement::unknown); // it could be one to come
    // Written more than 2^31 transactions before the horizon.
    CHECK(judge(evidence_at(50, 3'000'000'000, 3'000'000'010)) == settlement::unknown);
}

TEST_CASE("a horizon that is older than half of all numbers says nothing", "[settlement]") {
    constexpr std::uint64_t half = wrap / 2;
    // The store was idle meanwhile. Written after the write, by 100 + 2^31 + 5, which looks older than 100.
    CHECK(judge(evidence_at(100 + half + 5, 100, 100 + half + 10)) == settlement::unknown);
    CHECK(judge(evidence_at(99, 100, 100 + half - 1)) == settlement::not_applied);
    CHECK(judge(evidence_at(99, 100, 100 + half)) == settlement::unknown);
    CHECK(judge(evidence_at(99, 100, 100 + wrap)) == settlement::unknown);
}

TEST_CASE("a touch, which keeps the version and the name", "[settlement]") {
    // Over the write, and over an earlier one of the same store.
    CHECK(judge(evidence_at(105, 100, 110, evidence_of(name_of(store_a, 10)))) == settlement::applied);
    CHECK(judge(evidence_at(105, 100, 110, evidence_of(name_of(store_a, 9)))) == settlement::not_applied);
    CHECK(judge(over(5, evidence_at(105, 100, 110, evidence_of({}, 5)))) == settlement::not_applied);
}

TEST_CASE("names grow, and are one store's", "[settlement]") {
    write_names a;
    write_names b;
    std::set<uuid> seen;
    auto last = a.next();
    for (int i = 0; i < 1000; ++i) {
        const auto next = a.next();
        CHECK(write_names::earlier(last, next));
        CHECK_FALSE(write_names::earlier(next, last));
        CHECK_FALSE(write_names::earlier(next, next));
        const auto theirs = b.next();
        CHECK_FALSE(write_names::earlier(next, theirs));
        CHECK_FALSE(write_names::earlier(theirs, next));
        seen.insert(next);
        last = next;
    }
    CHECK(seen.size() == 1000);
    CHECK(std::equal(last.begin(), last.begin() + 8, seen.begin()->begin()));
}
