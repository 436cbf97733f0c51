#include "support/checks.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <set>
#include <string>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_info;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::list_agents_options;

namespace {

/// "agent-000" and so on, of which the i-th has i % 3 + 1 sessions.
void save_agents(store_under_test& store, int count) {
    int expected = 0;
    int done = 0;
    for (int i = 0; i < count; ++i) {
        const auto number = std::to_string(i);
        const auto agent = "agent-" + std::string(4 - number.size(), '0') + number;
        for (int s = 0; s <= i % 3; ++s) {
            ++expected;
            const agent_state state(agent, std::to_string(s));
            store->save(state, [&done](std::exception_ptr failure, pgstate::saved) {
                CHECK_FALSE(failure);
                ++done;
            });
        }
    }
    store.run_until([&] { return done == expected; });
}

} // namespace

TEST_CASE("list_agents shows each agent with its sessions", "[contract][list_agents]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const auto nobody = co_await store->list_agents();
        CHECK(nobody.empty());
        CHECK(nobody.next.empty());
        const agent_state first("b", "1");
        const agent_state second("a", "1");
        const agent_state third("b", "2");
        co_await store->save(first);
        const auto of_a = co_await store->save(second);
        const auto of_b = co_await store->save(third);
        const auto page = co_await store->list_agents();
        REQUIRE(page.size() == 2);
        CHECK(page.agents[0] == agent_info{"a", 1, of_a.updated_at});
        CHECK(page.agents[1] == agent_info{"b", 2, of_b.updated_at});
        CHECK(page.next.empty());
    });
}

TEST_CASE("list_agents does not see what has expired", "[contract][list_agents]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    pgstate::saved lasting;
    store.run([&]() -> asio::awaitable<void> {
        const agent_state gone("a", "1");
        co_await store->save(gone, {.ttl = 1h});
        const agent_state stays("b", "1");
        lasting = co_await store->save(stays);
        const agent_state goes("b", "2");
        co_await store->save(goes, {.ttl = 1h});
    });
    store.let_pass(2h);
    store.run([&]() -> asio::awaitable<void> {
        const auto page = co_await store->list_agents();
        REQUIRE(page.size() == 1);
        CHECK(page.agents[0].agent_id == "b");
        CHECK(page.agents[0].sessions == 1);
    });
}

TEST_CASE("list_agents gives pages while agents come and go", "[contract][list_agents]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    constexpr int count = 205;
    save_agents(store, count);
    store.run([&]() -> asio::awaitable<void> {
        for (const std::size_t limit : {std::size_t{1}, std::size_t{41}, std::size_t{204}, std::size_t{205},
                                        list_agents_options::max_limit}) {
            std::vector<agent_info> all;
            list_agents_options options(limit);
            do {
                const auto page = co_await store->list_agents(options);
                CHECK(page.size() <= limit);
                all.insert(all.end(), page.begin(), page.end());
                options.after = page.next;
            } while (!options.after.empty());
            REQUIRE(all.size() == count);
            for (int i = 0; i < count; ++i)
                CHECK(all[static_cast<std::size_t>(i)].sessions == i % 3 + 1);
        }
        // What is gone does not shift what follows, and what is new does not repeat what was.
        list_agents_options options(10);
        std::multiset<std::string> seen;
        for (int turn = 0;; ++turn) {
            const auto page = co_await store->list_agents(options);
            for (const auto& agent : page)
                seen.insert(agent.agent_id);
            if (page.next.empty()) break;
            options.after = page.next;
            const agent_state before("agent-0000-" + std::to_string(turn), "s");
            co_await store->save(before);
            const auto last = page.agents.back().agent_id;
            for (const char* session : {"0", "1", "2"})
                co_await store->erase(last, session);
        }
        CHECK(seen.size() == count);
        CHECK(std::set<std::string>(seen.begin(), seen.end()).size() == count);
    });
}

TEST_CASE("list_agents refuses bad limits and cursors", "[contract][list_agents]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    save_agents(store, 5);
    store.run([&]() -> asio::awaitable<void> {
        for (const std::size_t limit :
             {std::size_t{0}, list_agents_options::max_limit + 1, std::size_t{1'000'000'000}}) {
            const list_agents_options options(limit);
            const auto page = co_await store->list_agents(options, as_result);
            CHECK(names(require_failure(page, errc::invalid_argument), "limit"));
        }
        list_agents_options options(2);
        const pgstate::agent_page first = co_await store->list_agents(options);
        const std::string good = first.next;
        REQUIRE_FALSE(good.empty());
        for (std::size_t i = 0; i < good.size(); ++i) {
            options.after = good;
            options.after[i] = options.after[i] == 'A' ? 'B' : 'A';
            const auto page = co_await store->list_agents(options, as_result);
            CHECK(names(require_failure(page, errc::invalid_argument), "cursor"));
        }
        const pgstate::list_options list(1, good);
        const auto foreign = co_await store->list("agent-0000", list, as_result);
        CHECK(names(require_failure(foreign, errc::invalid_argument), "cursor"));
    });
}

TEST_CASE("count can be by estimate", "[contract][list_agents]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    save_agents(store, 30);
    store.run([&]() -> asio::awaitable<void> {
        const pgstate::count_options estimate{.estimate = true};
        const auto all = co_await store->count(estimate);
        const auto of_one = co_await store->count("agent-0001", estimate);
        CHECK(all >= 0);
        CHECK(of_one >= 0);
        if (kind == store_kind::memory) {
            CHECK(all == 60);
            CHECK(of_one == 2);
        }
        const auto refused = co_await store->count("", estimate, as_result);
        CHECK(names(require_failure(refused, errc::invalid_argument), "agent_id"));
    });
}
