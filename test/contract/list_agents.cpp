#include "support/sessions.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstddef>
#include <set>
#include <string>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_info;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::list_agents_options;

namespace {

/// "agent-000" and so on, of which the i-th has i % 3 + 1 sessions.
void save_agents(store_under_test& store, int count) {
    int expected = 0;
    successes saves;
    for (int i = 0; i < count; ++i) {
        const auto number = std::to_string(i);
        const auto agent = "agent-" + std::string(4 - number.size(), '0') + number;
        for (int s = 0; s <= i % 3; ++s) {
            ++expected;
            store->save(agent_state(agent, std::to_string(s)), saves.handler());
        }
    }
    store.run_until([&] { return saves.count == expected; });
}

} // namespace

TEST_CASE("list_agents shows each agent with its sessions", "[contract][list_agents]") {
    store_under_test store;
    const auto nobody = store.wait(store->list_agents());
    CHECK(nobody.empty());
    CHECK(nobody.next.empty());
    store.wait(store->save(agent_state("b", "1")));
    const auto of_a = store.wait(store->save(agent_state("a", "1")));
    const auto of_b = store.wait(store->save(agent_state("b", "2")));
    const auto page = store.wait(store->list_agents());
    REQUIRE(page.size() == 2);
    CHECK(page.agents[0] == agent_info{"a", 1, of_a.updated_at});
    CHECK(page.agents[1] == agent_info{"b", 2, of_b.updated_at});
    CHECK(page.next.empty());
}

TEST_CASE("list_agents does not see what has expired", "[contract][list_agents]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "1"), {.ttl = 1h}));
    store.wait(store->save(agent_state("b", "1")));
    store.wait(store->save(agent_state("b", "2"), {.ttl = 1h}));
    store.let_pass(2h);
    const auto page = store.wait(store->list_agents());
    REQUIRE(page.size() == 1);
    CHECK(page.agents[0].agent_id == "b");
    CHECK(page.agents[0].sessions == 1);
}

TEST_CASE("list_agents gives pages while agents come and go", "[contract][list_agents]") {
    store_under_test store;
    constexpr int count = 205;
    save_agents(store, count);
    for (const std::size_t limit : {std::size_t{1}, std::size_t{41}, std::size_t{204}, std::size_t{205},
                                    list_agents_options::max_limit}) {
        std::vector<agent_info> all;
        list_agents_options options(limit);
        do {
            const auto page = store.wait(store->list_agents(options));
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
        const auto page = store.wait(store->list_agents(options));
        for (const auto& agent : page)
            seen.insert(agent.agent_id);
        if (page.next.empty()) break;
        options.after = page.next;
        store.wait(store->save(agent_state("agent-0000-" + std::to_string(turn), "s")));
        const auto last = page.agents.back().agent_id;
        for (const char* session : {"0", "1", "2"})
            store.wait(store->erase(last, session));
    }
    CHECK(seen.size() == count);
    CHECK(std::set<std::string>(seen.begin(), seen.end()).size() == count);
}

TEST_CASE("list_agents refuses bad limits and cursors", "[contract][list_agents]") {
    store_under_test store;
    save_agents(store, 5);
    for (const std::size_t limit :
         {std::size_t{0}, list_agents_options::max_limit + 1, std::size_t{1'000'000'000}})
        store.refuses(store->list_agents(list_agents_options(limit), as_result), "list_agents", "limit");
    const std::string good = store.wait(store->list_agents(list_agents_options(2))).next;
    REQUIRE_FALSE(good.empty());
    for (const auto& cursor : altered(good))
        store.refuses(store->list_agents(list_agents_options(2, cursor), as_result), "list_agents", "cursor");
    store.refuses(store->list("agent-0000", pgstate::list_options(1, good), as_result), "list", "cursor");
}

TEST_CASE("count can be by estimate", "[contract][list_agents]") {
    store_under_test store;
    save_agents(store, 30);
    const pgstate::count_options estimate{.estimate = true};
    const auto all = store.wait(store->count(estimate));
    const auto of_one = store.wait(store->count("agent-0001", estimate));
    CHECK(all >= 0);
    CHECK(of_one >= 0);
    if (store.kind() == store_kind::memory) {
        CHECK(all == 60);
        CHECK(of_one == 2);
    }
    store.refuses(store->count("", estimate, as_result), "count", "agent_id");
}
