#include "support/checks.hpp"
#include "support/sessions.hpp"
#include "support/states.hpp"
#include "support/stores.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using pgstate::find_options;
using pgstate::find_order;
using pgstate::state_query;

namespace {

boost::json::object parsed(const char* text) {
    return boost::json::parse(text).as_object();
}

agent_state state_with(const std::string& agent, const std::string& session, const char* data) {
    agent_state state(agent, session);
    state.data = parsed(data);
    return state;
}

state_query containing(const char* part) {
    state_query query;
    query.contains = parsed(part);
    return query;
}

state_query matching(std::string path) {
    state_query query;
    query.jsonpath = std::move(path);
    return query;
}

/// Which sessions were found, in the order of their names.
asio::awaitable<std::set<std::string>> found(pgstate::state_store& store, const state_query& query) {
    const auto page = co_await store.find(query);
    std::set<std::string> sessions;
    for (const auto& state : page)
        sessions.insert(state.session_id);
    CHECK(sessions.size() == page.size());
    co_return sessions;
}

using names_of = std::set<std::string>;

asio::awaitable<void> save_data(pgstate::state_store& store, const char* session, const char* data) {
    const auto state = state_with("a", session, data);
    co_await store.save(state);
}

std::vector<std::pair<const char*, names_of>> containment_cases() {
    return {
        {R"({"data": {"user": {"id": 7}}})", {"deep", "double"}}, // numbers compare as numbers
        {R"({"data": {"user": {"id": 7.0}}})", {"deep", "double"}},
        {R"({"data": {"user": {"id": "7"}}})", {"text"}},
        {R"({"data": {"user": {"tags": ["z", "x"]}}})", {"deep"}}, // in any order
        {R"({"data": {"user": {"tags": ["x", "x"]}}})", {"deep"}},
        {R"({"data": {"user": {"tags": ["q"]}}})", {}},
        {R"({"data": {"user": {}}})", {"deep", "double", "text"}},
        {R"({"data": {"x": 0.1}})", {"tenth"}},
        {R"({"data": {"flag": true}})", {"tenth"}},
        {R"({"data": {"none": null}})", {"tenth"}},
        {R"({"history": [{"role": "tool"}]})", {"talk"}},
        {R"({"history": [{"content": "it's 'quoted' \\ and \"so\" — ünïcode"}]})", {"talk"}},
        {R"({"context": {"model": "m-1"}})", {"talk"}},
        {R"({"agent_id": "a", "session_id": "talk"})", {"talk"}},
        {R"({"data": {"missing": 1}})", {}},
    };
}

std::vector<std::pair<const char*, names_of>> jsonpath_cases() {
    return {
        {"$.data.score > 0.5", {"high"}},
        {"$.data.score >= 0.2", {"high", "low"}},
        {"$.data.score == 9.0", {"high"}},
        {"$.data.score == \"high\"", {"word"}},
        {"exists($.data.score)", {"high", "low", "word"}},
        {"!exists($.data.score)", {"none"}},
        {"exists($.data.tags[*] ? (@ == \"y\"))", {"high"}},
        {"$.data.tags[*] == \"x\" && $.data.score < 1", {"low"}},
        {"$.data.score starts with \"hi\"", {"word"}},
        {"$.data.score like_regex \"^h.*h$\"", {"word"}},
        {"($.data.score > 0.5) is unknown", {"word"}},
        {"$.data.score", {}}, // no predicate
        {"strict $.data.missing == 1", {}},
        {"$.agent_id == \"a\"", {"high", "low", "none", "word"}},
    };
}

/// Paths that the server refuses, and with which SQLSTATE.
std::vector<std::pair<std::string, std::string>> refused_paths() {
    return {
        {"$.data.score >", "42601"},       {"$.data ? (@.x == 1", "42601"},
        {"$.data..x == 1", "42601"},       {"score > 1", "42601"},
        {"$[1 to] == 1", "42601"},         {"$.a == 'x'", "42601"},
        {"$.a like_regex \"(\"", "2201B"},
    };
}

/// The kinds that evaluate a jsonpath.
constexpr std::array kinds_with_jsonpath{store_kind::postgres, store_kind::sharded_postgres};

asio::awaitable<std::vector<agent_state>> every_page(pgstate::state_store& store, const state_query& query,
                                                     std::size_t limit) {
    std::vector<agent_state> all;
    find_options options(limit);
    for (;;) {
        const auto page = co_await store.find(query, options);
        CHECK(page.size() <= limit);
        all.insert(all.end(), page.begin(), page.end());
        if (page.next.empty()) co_return all;
        CHECK(page.size() == limit);
        options.after = page.next;
    }
}

asio::awaitable<void> check_refused(pgstate::state_store& store, const state_query& query,
                                    const find_options& options, const char* argument) {
    const auto page = co_await store.find(query, options, as_result);
    const auto& failure = require_failure(page, errc::invalid_argument);
    INFO(failure.what());
    CHECK(failure.operation() == "find");
    CHECK(names(failure, argument));
}

bool in_order(find_order order, const agent_state& a, const agent_state& b) {
    const bool created = order == find_order::created_ascending || order == find_order::created_descending;
    const bool ascending = order == find_order::created_ascending || order == find_order::updated_ascending;
    const auto place = [created](const agent_state& s) {
        return std::tie(created ? s.created_at : s.updated_at, s.agent_id, s.session_id);
    };
    return ascending ? place(a) < place(b) : place(b) < place(a);
}

} // namespace

TEST_CASE("find without conditions gives every state as load does", "[contract][find]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        auto rich = state_with("a", "s", R"({"n": 12345678901234567, "x": 0.1, "list": [1, {"y": null}]})");
        rich.history.emplace_back("user", "hello");
        rich.context = parsed(R"({"c": true})");
        co_await store->save(rich, {.ttl = 1h});
        const agent_state other("b", "t");
        co_await store->save(other);

        const auto page = co_await store->find(state_query());
        REQUIRE(page.size() == 2);
        CHECK(page.next.empty());
        for (const auto& state : page) {
            const auto loaded = co_await store->load(state.agent_id, state.session_id);
            CHECK(loaded == state);
        }
        state_query of_one;
        of_one.agent_id = "b";
        const auto one = co_await store->find(of_one);
        REQUIRE(one.size() == 1);
        CHECK(one.states[0].session_id == "t");
        of_one.agent_id = "nobody";
        const auto none = co_await store->find(of_one);
        CHECK(none.empty());
    });
}

TEST_CASE("find leaves the documents out where they are not wanted", "[contract][find]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const auto state = state_with("a", "s", R"({"n": 1})");
        const auto saved = co_await store->save(state, {.ttl = 1h});
        find_options options;
        options.documents = false;
        const auto page = co_await store->find(containing(R"({"data": {"n": 1}})"), options);
        REQUIRE(page.size() == 1);
        agent_state bare("a", "s");
        bare.version = saved.version;
        bare.created_at = saved.created_at;
        bare.updated_at = saved.updated_at;
        bare.expires_at = saved.expires_at;
        CHECK(page.states[0] == bare);
    });
}

TEST_CASE("find by containment looks into any part of the document", "[contract][find]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        co_await save_data(*store, "deep", R"({"user": {"id": 7, "tags": ["x", "y", "z"]}, "n": 1})");
        co_await save_data(*store, "double", R"({"user": {"id": 7.0}})");
        co_await save_data(*store, "text", R"({"user": {"id": "7"}})");
        co_await save_data(*store, "tenth", R"({"x": 0.1, "flag": true, "none": null})");
        auto talk = state_with("a", "talk", "{}");
        talk.history.emplace_back("tool", "it's 'quoted' \\ and \"so\" — ünïcode");
        talk.context = parsed(R"({"model": "m-1"})");
        co_await store->save(talk);

        for (const auto& [part, expected] : containment_cases()) {
            INFO(part);
            const auto sessions = co_await found(*store, containing(part));
            CHECK(sessions == expected);
        }
    });
}

TEST_CASE("find by jsonpath gives the states for which the predicate is true", "[contract][find]") {
    const auto kind = GENERATE(from_range(kinds_with_jsonpath));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        co_await save_data(*store, "low", R"({"score": 0.2, "tags": ["x"]})");
        co_await save_data(*store, "high", R"({"score": 9, "tags": ["x", "y"]})");
        co_await save_data(*store, "word", R"({"score": "high"})");
        co_await save_data(*store, "none", "{}");
        for (const auto& [path, expected] : jsonpath_cases()) {
            INFO(path);
            const auto sessions = co_await found(*store, matching(path));
            CHECK(sessions == expected);
        }
    });
}

TEST_CASE("a memory_store evaluates no jsonpath, and says where one is evaluated", "[contract][find]") {
    store_under_test store(store_kind::memory);
    store.run([&]() -> asio::awaitable<void> {
        co_await save_data(*store, "s", R"({"score": 9})");
        for (const auto& [path, expected] : jsonpath_cases()) {
            INFO(path);
            const auto page = co_await store->find(matching(path), as_result);
            const auto& failure = require_failure(page, errc::invalid_argument);
            CHECK(failure.operation() == "find");
            CHECK(names(failure, "jsonpath"));
            CHECK(names(failure, "embedded_server"));
        }
    });
}

TEST_CASE("find takes times from the beginning of an interval on, and before its end", "[contract][find]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    const auto saves = save_sessions(store, "a", 7);
    store.run([&]() -> asio::awaitable<void> {
        for (const auto& [session, made] : saves) {
            const agent_state again("a", session);
            if (session < "session-3") co_await store->save(again); // later than it was created
        }
        const auto everything = co_await store->find(state_query());
        REQUIRE(everything.size() == 7);
        std::vector<pgstate::time_interval> intervals(1);
        for (const auto& [session, made] : saves) {
            intervals.push_back({made.created_at, {}});
            intervals.push_back({{}, made.created_at});
            intervals.push_back({made.created_at, saves.at("session-5").updated_at});
        }
        intervals.push_back({pgstate::timestamp::min(), pgstate::timestamp::max()});
        intervals.push_back({pgstate::timestamp::max(), {}});
        intervals.push_back({{}, pgstate::timestamp::min()});
        for (const auto& interval : intervals) {
            if (interval.from && interval.until && *interval.until < *interval.from) continue;
            for (const bool created : {true, false}) {
                state_query query;
                (created ? query.created : query.updated) = interval;
                names_of expected;
                for (const auto& state : everything) {
                    const auto when = created ? state.created_at : state.updated_at;
                    if ((!interval.from || *interval.from <= when) &&
                        (!interval.until || when < *interval.until))
                        expected.insert(state.session_id);
                }
                const auto sessions = co_await found(*store, query);
                CHECK(sessions == expected);
            }
        }
    });
}

TEST_CASE("find combines its conditions", "[contract][find]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        std::vector<pgstate::saved> saves;
        for (int i = 0; i < 8; ++i) {
            auto state = state_with(i % 2 ? "odd" : "even", "s" + std::to_string(i), R"({"kind": "x"})");
            state.data["i"] = i;
            if (i >= 6) state.data["kind"] = "y";
            saves.push_back(co_await store->save(state));
        }
        auto query = containing(R"({"data": {"kind": "x"}})");
        query.agent_id = "even";
        auto sessions = co_await found(*store, query);
        CHECK(sessions == names_of{"s0", "s2", "s4"});
        if (kind != store_kind::memory) {
            query.jsonpath = "$.data.i >= 2";
            sessions = co_await found(*store, query);
            CHECK(sessions == names_of{"s2", "s4"});
        }
        query.updated.from = saves[3].updated_at;
        sessions = co_await found(*store, query);
        CHECK(sessions == names_of{"s4"});
        query.created.until = saves[4].created_at;
        sessions = co_await found(*store, query);
        CHECK(sessions == names_of{});
    });
}

TEST_CASE("find does not see what has expired", "[contract][find]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        const auto brief = state_with("a", "brief", R"({"n": 1})");
        co_await store->save(brief, {.ttl = 1h});
        const auto lasting = state_with("a", "lasting", R"({"n": 1})");
        co_await store->save(lasting);
    });
    store.let_pass(2h);
    store.run([&]() -> asio::awaitable<void> {
        std::vector<state_query> queries(1);
        queries.push_back(containing(R"({"data": {"n": 1}})"));
        if (kind != store_kind::memory) queries.push_back(matching("$.data.n == 1"));
        for (const auto& query : queries) {
            const auto sessions = co_await found(*store, query);
            CHECK(sessions == names_of{"lasting"});
        }
    });
}

TEST_CASE("find gives pages in every order, which skip nothing and repeat nothing", "[contract][find]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    save_sessions(store, "a", 30);
    save_sessions(store, "ä", 7);
    save_sessions(store, "B", 7);
    store.run([&]() -> asio::awaitable<void> {
        for (int i = 0; i < 5; ++i) {
            const agent_state again("a", "session-" + std::to_string(i));
            co_await store->save(again);
        }
        for (const auto order : {find_order::updated_descending, find_order::updated_ascending,
                                 find_order::created_descending, find_order::created_ascending}) {
            state_query query;
            query.order = order;
            for (const std::size_t limit :
                 {std::size_t{1}, std::size_t{7}, std::size_t{44}, std::size_t{1000}}) {
                const auto all = co_await every_page(*store, query, limit);
                CHECK(all.size() == 44);
                CHECK(std::is_sorted(
                    all.begin(), all.end(),
                    [order](const agent_state& a, const agent_state& b) { return in_order(order, a, b); }));
            }
        }
    });
}

TEST_CASE("find pages over 1,025 states while others come and go", "[contract][find]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    save_sessions(store, "a", 1025);
    store.run([&]() -> asio::awaitable<void> {
        find_options options(100);
        options.documents = false;
        state_query query;
        query.agent_id = "a";
        comings_and_goings meanwhile;
        for (;;) {
            const auto page = co_await store->find(query, options);
            for (const auto& state : page)
                meanwhile.saw(state.session_id);
            if (page.next.empty()) break;
            options.after = page.next;
            co_await meanwhile.after_page(*store, "a", page.states.back().session_id);
        }
        meanwhile.check(1025);
    });
}

TEST_CASE("find refuses bad input by name", "[contract][find]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        for (const std::size_t limit :
             {std::size_t{0}, find_options::max_limit + 1, std::size_t{1'000'000'000}})
            co_await check_refused(*store, state_query(), find_options(limit), "limit");
        find_options late;
        late.timeout = -1ms;
        co_await check_refused(*store, state_query(), late, "timeout");
        for (const auto& bad : bad_texts()) {
            state_query query;
            query.agent_id = bad;
            co_await check_refused(*store, query, find_options(), "agent_id");
            co_await check_refused(*store, matching(bad), find_options(), "jsonpath");
            query = {};
            query.contains["data"].emplace_object()["k"] = bad;
            co_await check_refused(*store, query, find_options(), "contains");
        }
        state_query query;
        query.contains["data"].emplace_object()["x"] = std::numeric_limits<double>::quiet_NaN();
        co_await check_refused(*store, query, find_options(), "contains");
        query = {};
        query.updated = {pgstate::timestamp(5us), pgstate::timestamp(4us)};
        co_await check_refused(*store, query, find_options(), "updated");
        query = {};
        query.created = {pgstate::timestamp(5us), pgstate::timestamp(4us)};
        co_await check_refused(*store, query, find_options(), "created");
        co_await check_refused(*store, matching(std::string(pgstate::max_change_bytes + 1, ' ')),
                               find_options(), "jsonpath");
    });
}

TEST_CASE("a jsonpath that the server refuses is an invalid argument, in the server's words",
          "[contract][find]") {
    const auto kind = GENERATE(from_range(kinds_with_jsonpath));
    CAPTURE(kind);
    store_under_test store(kind);
    store.run([&]() -> asio::awaitable<void> {
        co_await save_data(*store, "s", R"({"score": 9, "a": "x"})");
        for (const auto& [path, sqlstate] : refused_paths()) {
            const auto page = co_await store->find(matching(path), as_result);
            const auto& failure = require_failure(page, errc::invalid_argument);
            INFO(path << ": " << failure.what());
            CHECK(std::string_view(failure.what()).starts_with("find: jsonpath is refused by the server: "));
            CHECK(failure.sqlstate() == sqlstate);
        }
        // A variable has no value here. Servers refuse it, or find nothing.
        const auto variable = co_await store->find(matching("$.data.score == $limit"), as_result);
        if (variable.has_error())
            CHECK(names(require_failure(variable, errc::invalid_argument), "jsonpath"));
        else
            CHECK(variable.value().empty());
        const auto after = co_await found(*store, matching("$.data.score == 9"));
        CHECK(after == names_of{"s"});
    });
}

TEST_CASE("find's cursor is good for its query only", "[contract][find]") {
    const auto kind = GENERATE(from_range(every_kind));
    CAPTURE(kind);
    store_under_test store(kind);
    save_sessions(store, "a", 3);
    store.run([&]() -> asio::awaitable<void> {
        find_options options(2);
        state_query query;
        query.agent_id = "a";
        const pgstate::state_page first = co_await store->find(query, options);
        const std::string good = first.next;
        REQUIRE_FALSE(good.empty());

        std::vector<state_query> others(8);
        others[1].agent_id = "b";
        for (auto& each : std::vector<std::size_t>{2, 3, 4, 5, 6, 7})
            others[each].agent_id = "a";
        others[2].contains = parsed(R"({"data": {}})");
        others[3].jsonpath = "exists($)";
        others[4].updated.from = pgstate::timestamp(0us);
        others[5].updated.until = pgstate::timestamp(0us);
        others[6].created.from = pgstate::timestamp(0us);
        others[7].order = find_order::updated_ascending;
        options.after = good;
        for (const auto& other : others) {
            const auto page = co_await store->find(other, options, as_result);
            CHECK(names(require_failure(page, errc::invalid_argument), "cursor"));
        }
        pgstate::list_options list(2);
        const pgstate::session_page listed = co_await store->list("a", list);
        const pgstate::list_agents_options agents(2, good);
        const auto of_list_agents = co_await store->list_agents(agents, as_result);
        CHECK(names(require_failure(of_list_agents, errc::invalid_argument), "cursor"));
        list.after = good;
        const auto of_list = co_await store->list("a", list, as_result);
        CHECK(names(require_failure(of_list, errc::invalid_argument), "cursor"));
        for (std::size_t i = 0; i < good.size(); ++i) {
            options.after = good;
            options.after[i] = options.after[i] == 'A' ? 'B' : 'A';
            const auto page = co_await store->find(query, options, as_result);
            CHECK(names(require_failure(page, errc::invalid_argument), "cursor"));
        }
        options.after = listed.next;
        const auto page = co_await store->find(query, options, as_result);
        CHECK(names(require_failure(page, errc::invalid_argument), "cursor"));
        options.after = good;
        options.limit = 1; // the page's size is no part of the query
        const auto rest = co_await store->find(query, options);
        CHECK(rest.size() == 1);
    });
}
