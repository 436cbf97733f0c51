// How many statements a store makes of its operations, by its own count.

#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace pgstate_test;

namespace {

constexpr std::uint64_t burst = 100;

/// Starts loads all at once and waits for them.
void load_many(opened_store& f, bool of_one_key = false) {
    std::uint64_t over = 0;
    for (std::uint64_t i = 0; i < burst; ++i)
        f.store.load("a", of_one_key ? "s" : "s" + std::to_string(i), [&over](auto&&...) { ++over; });
    run_until(f.context, [&] { return over == burst; });
}

pgstate::config with_shards(std::size_t shards) {
    pgstate::config settings;
    settings.tuning.batch.shards = shards;
    return settings;
}

} // namespace

TEST_CASE("operations that wait together share a statement", "[batching]") {
    opened_store f("&pool_max_conns=1");
    load_many(f);
    const auto done = f.store.stats();
    CHECK(done.operations == burst);
    CHECK(done.operations_sent == burst);
    CHECK(done.statements == 1);
    CHECK(done.mean_batch() == burst);
}

TEST_CASE("so do loads of one key", "[batching]") {
    opened_store f("&pool_max_conns=1");
    load_many(f, true);
    CHECK(f.store.stats().statements == 1);
}

TEST_CASE("a burst is split over the connections there can be", "[batching]") {
    opened_store f("&pool_max_conns=4");
    load_many(f);
    const auto done = f.store.stats();
    CHECK(done.operations_sent == burst);
    CHECK(done.statements >= 2);
    CHECK(done.statements <= burst / 8);
}

TEST_CASE("each of several engines makes its own statements, on its own connections", "[batching]") {
    opened_store f("&pool_max_conns=4", with_shards(2));
    load_many(f);
    const auto done = f.store.stats();
    CHECK(done.operations == burst);
    CHECK(done.operations_sent == burst);
    CHECK(done.statements >= 2);
    CHECK(f.store.pool().stats().total_conns <= 4);
}

TEST_CASE("without batching each operation is a statement", "[batching]") {
    pgstate::config settings;
    settings.tuning.batch.enabled = false;
    opened_store f("&pool_max_conns=2", settings);
    load_many(f);
    const auto done = f.store.stats();
    CHECK(done.statements == burst);
    CHECK(done.mean_batch() == 1);
}
