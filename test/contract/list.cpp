#include "support/sessions.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <tuple>
#include <vector>

using namespace pgstate_test;
using namespace std::string_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::list_options;
using pgstate::session_info;

namespace {

/// Every session of `agent`, fetched `limit` at a time.
std::vector<session_info> all_pages(store_under_test& store, const std::string& agent, std::size_t limit,
                                    std::size_t& pages) {
    std::vector<session_info> all;
    list_options options(limit);
    for (pages = 0;;) {
        const auto page = store.wait(store->list(agent, options));
        ++pages;
        CHECK(page.size() <= limit);
        all.insert(all.end(), page.begin(), page.end());
        if (page.next.empty()) return all;
        CHECK(page.size() == limit);
        options.after = page.next;
    }
}

bool newest_first(const session_info& a, const session_info& b) {
    return std::tie(a.updated_at, a.session_id) > std::tie(b.updated_at, b.session_id);
}

} // namespace

TEST_CASE("list shows an agent's sessions, the latest first", "[contract]") {
    store_under_test store;
    std::vector<pgstate::saved> saves;
    for (const char* session : {"one", "two", "three"})
        saves.push_back(store.wait(store->save(agent_state("a", session))));
    store.wait(store->save(agent_state("b", "four")));
    const auto updated = store.wait(store->save(agent_state("a", "one")));

    const auto page = store.wait(store->list("a"));
    REQUIRE(page.size() == 3);
    CHECK(page.next.empty());
    CHECK(page.sessions[0] == session_info{"one", updated.version, saves[0].created_at, updated.updated_at});
    CHECK(page.sessions[1] ==
          session_info{"three", saves[2].version, saves[2].created_at, saves[2].updated_at});
    CHECK(page.sessions[2] ==
          session_info{"two", saves[1].version, saves[1].created_at, saves[1].updated_at});

    CHECK(store.wait(store->list("nobody")).empty());
}

TEST_CASE("paging skips nothing and repeats nothing", "[contract]") {
    store_under_test store;
    constexpr int count = 1025;
    save_sessions(store, "a", count);
    save_sessions(store, "b", 10);
    for (const std::size_t limit : {std::size_t{7}, std::size_t{100}, std::size_t{205}, std::size_t{1024},
                                    std::size_t{1025}, std::size_t{10'000}}) {
        INFO("limit " << limit);
        std::size_t pages = 0;
        const auto all = all_pages(store, "a", limit, pages);
        REQUIRE(all.size() == count);
        CHECK(std::is_sorted(all.begin(), all.end(), newest_first));
        std::set<std::string> names;
        for (const auto& session : all)
            names.insert(session.session_id);
        CHECK(names.size() == count);
        CHECK(pages == (count + limit - 1) / limit); // no empty page at the end
    }
}

TEST_CASE("sessions of one moment stand in descending order of their bytes", "[contract]") {
    store_under_test store;
    // In a language's collation these stand otherwise.
    const std::vector<std::string> sessions = {"a", "B",   "é",  "Z",  "_",  "aa", "A",
                                               "ä", "b-1", "b1", "日", "10", "9"};
    successes saves;
    for (const auto& session : sessions)
        store->save(agent_state("a", session), saves.handler());
    store.run_until([&] { return saves.count == static_cast<int>(sessions.size()); });
    std::size_t pages = 0;
    const auto one_by_one = all_pages(store, "a", 1, pages);
    const auto at_once = all_pages(store, "a", 100, pages);
    CHECK(one_by_one == at_once);
    CHECK(at_once.size() == sessions.size());
    CHECK(std::is_sorted(at_once.begin(), at_once.end(), newest_first));
}

TEST_CASE("a page goes on behind the last one though rows come and go", "[contract]") {
    store_under_test store;
    save_sessions(store, "a", 20);
    list_options options(10);
    const auto first = store.wait(store->list("a", options));
    REQUIRE(first.size() == 10);
    store.wait(store->erase("a", first.sessions.back().session_id)); // the row that the cursor names
    store.wait(store->save(agent_state("a", "newcomer")));           // stands before the first page
    options.after = first.next;
    const auto second = store.wait(store->list("a", options));
    CHECK(second.size() == 10);
    CHECK(second.next.empty());
    std::set<std::string> names;
    for (const auto& s : first)
        names.insert(s.session_id);
    for (const auto& s : second)
        names.insert(s.session_id);
    CHECK(names.size() == 20);
    CHECK_FALSE(names.contains("newcomer"));
}

TEST_CASE("paging over 1,025 sessions holds though others come and go", "[contract]") {
    store_under_test store;
    constexpr int count = 1025;
    save_sessions(store, "a", count);
    list_options options(100);
    comings_and_goings meanwhile;
    for (;;) {
        const auto page = store.wait(store->list("a", options));
        for (const auto& session : page)
            meanwhile.saw(session.session_id);
        if (page.next.empty()) break;
        options.after = page.next;
        meanwhile.after_page(store, "a", page.sessions.back().session_id);
    }
    meanwhile.check(count);
}

TEST_CASE("a limit out of range is refused", "[contract]") {
    store_under_test store;
    for (const std::size_t limit :
         {std::size_t{0}, list_options::max_limit + 1, static_cast<std::size_t>(-1)})
        store.refuses(store->list("a", list_options(limit), as_result), "list", "limit");
    CHECK(store.wait(store->list("a", list_options(list_options::max_limit))).empty());
}

TEST_CASE("a cursor that was altered or is another agent's is refused", "[contract]") {
    store_under_test store;
    save_sessions(store, "a", 3);
    save_sessions(store, "b", 3);
    list_options options(2);
    const std::string good = store.wait(store->list("a", options)).next;
    REQUIRE_FALSE(good.empty());

    std::vector<std::string> bad = altered(good);
    for (const auto& each : {"x"s, "!"s, "not a cursor"s, std::string(5000, 'A'), good + "A", good + good,
                             " " + good, "nul\0"s, "\xff"s})
        bad.push_back(each);
    for (std::size_t i = 1; i < good.size(); ++i)
        bad.push_back(good.substr(0, i));
    for (const auto& cursor : bad) {
        INFO(cursor);
        options.after = cursor;
        store.refuses(store->list("a", options, as_result), "list", "cursor");
    }
    options.after = good;
    store.refuses(store->list("b", options, as_result), "list", "cursor");
    CHECK(store.wait(store->list("a", options)).size() == 1);
}

TEST_CASE("count counts all or one agent's", "[contract]") {
    store_under_test store;
    CHECK(store.wait(store->count()) == 0);
    save_sessions(store, "a", 3);
    save_sessions(store, "b", 2);
    CHECK(store.wait(store->count()) == 5);
    CHECK(store.wait(store->count("a")) == 3);
    CHECK(store.wait(store->count("b")) == 2);
    CHECK(store.wait(store->count("nobody")) == 0);
    store.wait(store->erase("a", "session-0"));
    CHECK(store.wait(store->count()) == 4);
    CHECK(store.wait(store->count("a")) == 2);
}
