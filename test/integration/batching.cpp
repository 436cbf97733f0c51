// How many statements a store makes of its operations, by its own count.

#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <exception>
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

TEST_CASE("so do appends to different states", "[batching]") {
    opened_store f("&pool_max_conns=1");
    const bool create = GENERATE(true, false);
    const bool named = GENERATE(true, false);
    const auto append_many = [&] {
        std::uint64_t over = 0;
        for (std::uint64_t i = 0; i < burst; ++i) {
            pgstate::agent_message message("user", std::to_string(i));
            if (named) message.id = "1";
            const pgstate::change_options options{.create = create};
            f.store.append("a", "s" + std::to_string(i), message, options,
                           [&over](std::exception_ptr failure, const pgstate::saved& made) {
                               CHECK_FALSE(failure);
                               CHECK(made.version > 0);
                               ++over;
                           });
        }
        run_until(f.context, [&] { return over == burst; });
    };
    if (!create)
        for (std::uint64_t i = 0; i < burst; ++i)
            f.wait(f.store.save(pgstate::agent_state("a", "s" + std::to_string(i))));
    const auto before = f.store.stats().statements;
    append_many();
    CHECK(f.store.stats().statements == before + 1);
    append_many();
    // Each append whose messages were there already needs a second statement.
    CHECK(f.store.stats().statements == before + (named ? 2 + burst : 2));
    for (std::uint64_t i = 0; i < burst; ++i) {
        const auto loaded = f.wait(f.store.load("a", "s" + std::to_string(i)));
        REQUIRE(loaded.has_value());
        REQUIRE(loaded->history.size() == (named ? 1 : 2));
        CHECK(loaded->history[0].content == std::to_string(i));
    }
}

TEST_CASE("a burst is split over the connections there can be", "[batching]") {
    opened_store f("&pool_max_conns=4");
    load_many(f);
    const auto done = f.store.stats();
    CHECK(done.operations_sent == burst);
    CHECK(done.statements >= 2);
    CHECK(done.statements <= burst / 8);
}

TEST_CASE("a connection that waits for a lock has no share of a burst", "[batching][locks]") {
    opened_store f("&pool_max_conns=4&pool_min_conns=4", {}, lock_waits::as_configured);
    f.wait(f.store.save(numbered_state(1, "locked")));
    poll_until(f.context, [&] { return f.store.pool().stats().idle_conns == 4; });
    row_lock locked(f.database, "a", "locked");
    pqxx::connection observer(f.database);
    const auto sent = [&, before = f.store.stats().statements] {
        return f.store.stats().statements - before;
    };
    outcome<pgstate::saved> append;
    f.store.append("a", "locked", pgstate::agent_message("user", "hello"),
                   pgstate::as_result(append.handler()));
    // The shared statement is refused; the append looks for a lock, and then waits in a statement of its own.
    poll_until(f.context, [&] {
        return sent() == 3 && pqxx::nontransaction(observer).exec(somebody_waits_for_a_lock)[0][0].as<bool>();
    });
    load_many(f);
    CHECK(sent() == 3 + 3);
    CHECK_FALSE(append.over());
    locked.let_go();
    CHECK(append.wait(f.context).has_value());
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
