#include "support/checks.hpp"
#include "support/sessions.hpp"
#include "support/stores.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::list_options;
using pgstate::session_info;

namespace {

/// Every session of `agent`, fetched `limit` at a time.
asio::awaitable<std::vector<session_info>> all_pages(pgstate::state_store& store, std::string agent,
                                                     std::size_t limit, std::size_t& pages) {
    std::vector<session_info> all;
    list_options options(limit);
    for (pages = 0;;) {
        const auto page = co_await store.list(agent, options);
        ++pages;
        CHECK(page.size() <= limit);
        all.insert(all.end(), page.begin(), page.end());
        if (page.next.empty()) co_return all;
        CHECK(page.size() == limit);
        options.after = page.next;
    }
}

bool newest_first(const session_info& a, const session_info& b) {
    return std::tie(a.updated_at, a.session_id) > std::tie(b.updated_at, b.session_id);
}

} // namespace

TEST_CASE("list shows an agent's sessions, the latest first", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        std::vector<pgstate::saved> saves;
        for (const char* session : {"one", "two", "three"}) {
            const agent_state state("a", session);
            saves.push_back(co_await store->save(state));
        }
        const agent_state stranger("b", "four");
        co_await store->save(stranger);
        const agent_state again("a", "one");
        const auto updated = co_await store->save(again);

        const auto page = co_await store->list("a");
        REQUIRE(page.size() == 3);
        CHECK(page.next.empty());
        CHECK(page.sessions[0] ==
              session_info{"one", updated.version, saves[0].created_at, updated.updated_at});
        CHECK(page.sessions[1] ==
              session_info{"three", saves[2].version, saves[2].created_at, saves[2].updated_at});
        CHECK(page.sessions[2] ==
              session_info{"two", saves[1].version, saves[1].created_at, saves[1].updated_at});

        const auto nothing = co_await store->list("nobody");
        CHECK(nothing.empty());
    });
}

TEST_CASE("paging skips nothing and repeats nothing", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    constexpr int count = 1025;
    save_sessions(store, "a", count);
    save_sessions(store, "b", 10);
    for (const std::size_t limit : {std::size_t{7}, std::size_t{100}, std::size_t{205}, std::size_t{1024},
                                    std::size_t{1025}, std::size_t{10'000}}) {
        INFO("limit " << limit);
        std::size_t pages = 0;
        const auto all = store.run([&] { return all_pages(*store, "a", limit, pages); });
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
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    // In a language's collation these stand otherwise.
    const std::vector<std::string> sessions = {"a", "B",   "é",  "Z",  "_",  "aa", "A",
                                               "ä", "b-1", "b1", "日", "10", "9"};
    int done = 0;
    for (const auto& session : sessions) {
        const agent_state state("a", session);
        store->save(state, [&done](std::exception_ptr failure, pgstate::saved) {
            CHECK_FALSE(failure);
            ++done;
        });
    }
    store.run_until([&] { return done == static_cast<int>(sessions.size()); });
    std::size_t pages = 0;
    const auto one_by_one = store.run([&] { return all_pages(*store, "a", 1, pages); });
    const auto at_once = store.run([&] { return all_pages(*store, "a", 100, pages); });
    CHECK(one_by_one == at_once);
    CHECK(at_once.size() == sessions.size());
    CHECK(std::is_sorted(at_once.begin(), at_once.end(), newest_first));
}

TEST_CASE("a page goes on behind the last one though rows come and go", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    save_sessions(store, "a", 20);
    store.run([&]() -> asio::awaitable<void> {
        list_options options(10);
        const auto first = co_await store->list("a", options);
        REQUIRE(first.size() == 10);
        co_await store->erase("a", first.sessions.back().session_id); // the row that the cursor names
        const agent_state newcomer("a", "newcomer");
        co_await store->save(newcomer); // stands before the first page
        options.after = first.next;
        const auto second = co_await store->list("a", options);
        CHECK(second.size() == 10);
        CHECK(second.next.empty());
        std::set<std::string> names;
        for (const auto& s : first)
            names.insert(s.session_id);
        for (const auto& s : second)
            names.insert(s.session_id);
        CHECK(names.size() == 20);
        CHECK_FALSE(names.contains("newcomer"));
    });
}

TEST_CASE("paging over 1,025 sessions holds though others come and go", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    constexpr int count = 1025;
    save_sessions(store, "a", count);
    store.run([&]() -> asio::awaitable<void> {
        list_options options(100);
        comings_and_goings meanwhile;
        for (;;) {
            const auto page = co_await store->list("a", options);
            for (const auto& session : page)
                meanwhile.saw(session.session_id);
            if (page.next.empty()) break;
            options.after = page.next;
            co_await meanwhile.after_page(*store, "a", page.sessions.back().session_id);
        }
        meanwhile.check(count);
    });
}

TEST_CASE("a limit out of range is refused", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        for (const std::size_t limit :
             {std::size_t{0}, list_options::max_limit + 1, static_cast<std::size_t>(-1)}) {
            const list_options options(limit);
            const auto page = co_await store->list("a", options, as_result);
            CHECK(names(require_failure(page, errc::invalid_argument), "limit"));
        }
        const list_options most(list_options::max_limit);
        const auto page = co_await store->list("a", most);
        CHECK(page.empty());
    });
}

TEST_CASE("a cursor that was altered or is another agent's is refused", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    save_sessions(store, "a", 3);
    save_sessions(store, "b", 3);
    store.run([&]() -> asio::awaitable<void> {
        list_options options(2);
        const pgstate::session_page first_page = co_await store->list("a", options);
        const std::string good = first_page.next;
        REQUIRE_FALSE(good.empty());

        std::vector<std::string> bad = {"x",        "!",         "not a cursor", std::string(5000, 'A'),
                                        good + "A", good + good, " " + good,     std::string("nul\0", 4),
                                        "\xff"};
        for (std::size_t i = 0; i < good.size(); ++i) {
            std::string changed = good;
            changed[i] = changed[i] == 'A' ? 'B' : 'A';
            bad.push_back(changed);
            if (i > 0) bad.push_back(good.substr(0, i));
        }
        for (const auto& cursor : bad) {
            INFO(cursor);
            options.after = cursor;
            const auto page = co_await store->list("a", options, as_result);
            CHECK(names(require_failure(page, errc::invalid_argument), "cursor"));
        }
        options.after = good;
        const auto foreign = co_await store->list("b", options, as_result);
        CHECK(names(require_failure(foreign, errc::invalid_argument), "cursor"));
        const auto rest = co_await store->list("a", options);
        CHECK(rest.size() == 1);
    });
}

TEST_CASE("count counts all or one agent's", "[contract]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> { co_await check_count(*store, 0); });
    save_sessions(store, "a", 3);
    save_sessions(store, "b", 2);
    store.run([&]() -> asio::awaitable<void> {
        co_await check_count(*store, 5);
        co_await check_count(*store, 3, "a");
        co_await check_count(*store, 2, "b");
        co_await check_count(*store, 0, "nobody");
        co_await store->erase("a", "session-0");
        co_await check_count(*store, 4);
        co_await check_count(*store, 2, "a");
    });
}
