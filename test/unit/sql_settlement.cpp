#include "sql/settlement.hpp"
#include "sql/write_names.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

namespace {

using pgstate::batch::settlement;
using pgstate::sql::judge;
using pgstate::sql::write_evidence;
using pgstate::sql::write_names;
using pgstate::wire::uuid;

constexpr unsigned char store_a = 77;
constexpr unsigned char store_b = 78;

/// Of a write of store A with the number 10, whose server process has ended. Nothing is left of it in the row.
write_evidence unnamed(std::int64_t version = 9) {
    write_evidence evidence;
    evidence.name[0] = store_a;
    evidence.name[15] = 10;
    evidence.fenced = evidence.exists = true;
    evidence.version = version;
    return evidence;
}

/// The same where the row names a write as its last.
write_evidence by(unsigned char store, unsigned char count, std::int64_t version = 9) {
    auto evidence = unnamed(version);
    uuid& name = evidence.last_writer.emplace();
    name[0] = store;
    name[15] = count;
    return evidence;
}

write_evidence no_row() {
    auto evidence = unnamed(0);
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

write_evidence repeatable(write_evidence evidence) {
    evidence.repeatable = true;
    return evidence;
}

/// The same where it is known when the row was written.
write_evidence evidence_at(std::uint64_t xmin, std::optional<std::uint64_t> horizon, std::uint64_t next,
                           write_evidence evidence = by(store_b, 1)) {
    evidence.xmin = static_cast<std::uint32_t>(xmin);
    evidence.horizon = horizon;
    evidence.next = next;
    return evidence;
}

/// That all of `found` are judged alike, where `what` has happened.
void judged(settlement verdict, std::string_view what, const std::vector<write_evidence>& found) {
    for (std::size_t i = 0; i < found.size(); ++i) {
        CAPTURE(what, i);
        CHECK(judge(found[i]) == verdict);
    }
}

constexpr auto applied = settlement::applied;
constexpr auto not_applied = settlement::not_applied;
constexpr auto unknown = settlement::unknown;

} // namespace

TEST_CASE("what a write left in the row, or did not, says what became of it", "[settlement]") {
    const auto it = by(store_a, 10);
    judged(applied, "a row that names the write has it",
           {unfenced(it), it, over(5, by(store_a, 10, 5)), evidence_at(90, 100, 110, it)});
    judged(settlement::open, "while the server may be at work on it nothing else is certain",
           {unfenced(no_row()), unfenced(unnamed()), unfenced(by(store_a, 9)), unfenced(by(store_a, 11)),
            unfenced(by(store_b, 10)), unfenced(over(5, unnamed(5))), unfenced(evidence_at(90, 100, 110)),
            unfenced(evidence_at(99, 100, 110)), unfenced(repeatable(unnamed()))});
    judged(not_applied, "a row as an earlier write of the same store left it has not seen the write",
           {by(store_a, 9), by(store_a, 1), over(5, by(store_a, 9))});
    judged(not_applied, "a row at the version that was to be replaced has not seen the write",
           {over(5, by(store_b, 1, 5)), over(5, unnamed(5))});
    judged(not_applied, "a row of a transaction that was over before the write has not seen it",
           {evidence_at(99, 100, 110), evidence_at(3, 100, 110), evidence_at(99, 100, 110, unnamed())});
    judged(unknown, "a row of a transaction that was not may have replaced it",
           {evidence_at(100, 100, 110), evidence_at(109, 100, 110), evidence_at(99, 100, 110, no_row())});
    judged(not_applied, "a write that may be applied twice needs to be over only",
           {repeatable(no_row()), repeatable(unnamed()), repeatable(by(store_b, 9))});
    judged(unknown, "nobody can tell of a row that is gone or that somebody else wrote",
           {no_row(), over(5, no_row()), unnamed(), by(store_b, 9), by(store_b, 11), by(store_a, 11),
            over(5, unnamed(6))});
}

TEST_CASE("what may have happened around a write in doubt", "[settlement]") {
    constexpr auto greatest = std::numeric_limits<std::int64_t>::max();
    // It drew 7 and waited. The write made the state with version 8, and somebody erased it.
    judged(unknown, "another program's insert drew its version early and came late",
           {evidence_at(105, 100, 110, unnamed(7)), unnamed(7)});
    judged(unknown, "the write replaced version 5; what it made was erased, and the state made again",
           {over(5, by(store_b, 3, 12)), over(5, evidence_at(105, 100, 110))});
    judged(not_applied, "the write was to replace a version above the sequence, and did not",
           {over(greatest, unnamed(greatest))});
    judged(unknown, "it did, with a lower version, and somebody wrote over that",
           {over(greatest, unnamed(12))});
    judged(unknown, "somebody wrote a version above the sequence by hand over what the write had made",
           {evidence_at(105, 100, 110, unnamed(greatest))});
    judged(unknown,
           "after a promotion or a restart, when numbers are given out again, nothing follows from a low one",
           {evidence_at(99, {}, 110), over(5, evidence_at(99, {}, 110))});
    judged(not_applied, "but the version still tells", {over(9, evidence_at(99, {}, 110))});
    // It has number 100, which no horizon passes while it runs; 101 is a savepoint's.
    judged(unknown, "a transaction that began before the write saved after it, over what the write had left",
           {evidence_at(100, 100, 110, unnamed()), evidence_at(101, 100, 110, unnamed())});
    judged(unknown, "two stores' counters are equal", {by(store_b, 10)});
    judged(not_applied, "and their row is old", {evidence_at(99, 100, 110, by(store_b, 10))});
    judged(applied, "a touch or a writer without a name, which leave the name, came over the write",
           {evidence_at(105, 100, 110, by(store_a, 10)), over(5, evidence_at(105, 100, 110, by(store_a, 10))),
            over(9, by(store_a, 10, 9))});
    judged(
        not_applied,
        "they came over an earlier write of the same store, or a touch over the version that was to be replaced",
        {evidence_at(105, 100, 110, by(store_a, 9)), over(5, evidence_at(105, 100, 110, unnamed(5)))});
}

TEST_CASE("transaction numbers wrap around, freeze, and are half of all at most apart", "[settlement]") {
    constexpr std::uint64_t wrap = std::uint64_t{1} << 32;
    constexpr std::uint64_t half = wrap / 2;
    constexpr std::uint64_t bootstrap = 1;
    constexpr std::uint64_t frozen = 2; // as servers before 9.4 wrote it
    judged(not_applied, "around the wrap, before the horizon",
           {evidence_at(wrap - 5, wrap + 10, wrap + 20), evidence_at(wrap + 5, wrap + 10, wrap + 20),
            evidence_at(5 * wrap + 5, 5 * wrap + 10, 5 * wrap + 20)});
    judged(unknown, "around the wrap, behind it",
           {evidence_at(wrap + 15, wrap + 10, wrap + 20), evidence_at(wrap + 15, wrap - 10, wrap + 20)});
    judged(not_applied, "a frozen row is old",
           {evidence_at(frozen, 100, 110), evidence_at(bootstrap, 100, 110)});
    judged(unknown, "its number could be one to come", {evidence_at(frozen, wrap - 100, wrap - 50)});
    judged(unknown, "written more than 2^31 transactions before the horizon",
           {evidence_at(50, 3'000'000'000, 3'000'000'010)});
    judged(unknown,
           "the store was idle; what was written after the write, by 100 + 2^31 + 5, looks older than 100",
           {evidence_at(100 + half + 5, 100, 100 + half + 10)});
    judged(not_applied, "a horizon that is just young enough", {evidence_at(99, 100, 100 + half - 1)});
    judged(unknown, "a horizon that is older than half of all numbers says nothing",
           {evidence_at(99, 100, 100 + half), evidence_at(99, 100, 100 + wrap)});
}

TEST_CASE("names grow, and are one store's", "[settlement]") {
    write_names a;
    write_names b;
    std::set<uuid> seen;
    auto newest = a.next();
    for (int i = 0; i < 1000; ++i) {
        const auto next = a.next();
        CHECK(write_names::earlier(newest, next));
        CHECK_FALSE(write_names::earlier(next, newest));
        CHECK_FALSE(write_names::earlier(next, next));
        const auto theirs = b.next();
        CHECK_FALSE(write_names::earlier(next, theirs));
        CHECK_FALSE(write_names::earlier(theirs, next));
        seen.insert(next);
        newest = next;
    }
    CHECK(seen.size() == 1000);
    CHECK(std::equal(newest.begin(), newest.begin() + 8, seen.begin()->begin()));
}
