#include "support/sessions.hpp"
#include "support/states.hpp"
#include "support/stores.hpp"

#include <boost/json/object.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <limits>
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
std::set<std::string> found(store_under_test& store, const state_query& query) {
    const auto page = store.wait(store->find(query));
    std::set<std::string> sessions;
    for (const auto& state : page)
        sessions.insert(state.session_id);
    CHECK(sessions.size() == page.size());
    return sessions;
}

using names_of = std::set<std::string>;

void save_data(store_under_test& store, const char* session, const char* data) {
    store.wait(store->save(state_with("a", session, data)));
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
constexpr std::array kinds_with_jsonpath{store_kind::postgres, store_kind::sharded_postgres,
                                         store_kind::rows_postgres};

std::vector<agent_state> every_page(store_under_test& store, const state_query& query, std::size_t limit) {
    std::vector<agent_state> all;
    find_options options(limit);
    for (;;) {
        const auto page = store.wait(store->find(query, options));
        CHECK(page.size() <= limit);
        all.insert(all.end(), page.begin(), page.end());
        if (page.next.empty()) return all;
        CHECK(page.size() == limit);
        options.after = page.next;
    }
}

void check_refused(store_under_test& store, const state_query& query, const char* argument,
                   const find_options& options = {}) {
    store.refuses(store->find(query, options, as_result), "find", argument);
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
    store_under_test store;
    auto rich = state_with("a", "s", R"({"n": 12345678901234567, "x": 0.1, "list": [1, {"y": null}]})");
    rich.history.emplace_back("user", "hello");
    rich.context = parsed(R"({"c": true})");
    store.wait(store->save(rich, {.ttl = 1h}));
    store.wait(store->save(agent_state("b", "t")));

    const auto page = store.wait(store->find(state_query()));
    REQUIRE(page.size() == 2);
    CHECK(page.next.empty());
    for (const auto& state : page)
        CHECK(store.wait(store->load(state.agent_id, state.session_id)) == state);
    state_query of_one;
    of_one.agent_id = "b";
    const auto one = store.wait(store->find(of_one));
    REQUIRE(one.size() == 1);
    CHECK(one.states[0].session_id == "t");
    of_one.agent_id = "nobody";
    CHECK(store.wait(store->find(of_one)).empty());
}

TEST_CASE("find leaves the documents out where they are not wanted", "[contract][find]") {
    store_under_test store;
    const auto saved = store.wait(store->save(state_with("a", "s", R"({"n": 1})"), {.ttl = 1h}));
    find_options options;
    options.documents = false;
    const auto page = store.wait(store->find(containing(R"({"data": {"n": 1}})"), options));
    REQUIRE(page.size() == 1);
    agent_state bare("a", "s");
    saved.apply_to(bare);
    CHECK(page.states[0] == bare);
}

TEST_CASE("find by containment looks into any part of the document", "[contract][find]") {
    store_under_test store;
    save_data(store, "deep", R"({"user": {"id": 7, "tags": ["x", "y", "z"]}, "n": 1})");
    save_data(store, "double", R"({"user": {"id": 7.0}})");
    save_data(store, "text", R"({"user": {"id": "7"}})");
    save_data(store, "tenth", R"({"x": 0.1, "flag": true, "none": null})");
    auto talk = state_with("a", "talk", "{}");
    talk.history.emplace_back("tool", "it's 'quoted' \\ and \"so\" — ünïcode");
    talk.context = parsed(R"({"model": "m-1"})");
    store.wait(store->save(talk));

    for (const auto& [part, expected] : containment_cases()) {
        INFO(part);
        CHECK(found(store, containing(part)) == expected);
    }
}

TEST_CASE("find by jsonpath gives the states for which the predicate is true", "[contract][find]") {
    store_under_test store(GENERATE(from_range(kinds_with_jsonpath)));
    save_data(store, "low", R"({"score": 0.2, "tags": ["x"]})");
    save_data(store, "high", R"({"score": 9, "tags": ["x", "y"]})");
    save_data(store, "word", R"({"score": "high"})");
    save_data(store, "none", "{}");
    for (const auto& [path, expected] : jsonpath_cases()) {
        INFO(path);
        CHECK(found(store, matching(path)) == expected);
    }
}

TEST_CASE("find by a path over messages gives the states that have one for which it is true",
          "[contract][find]") {
    store_under_test store(GENERATE(from_range(kinds_with_jsonpath)));
    const auto talk = [&](const std::string& session, const std::vector<std::string>& roles) {
        auto state = state_with("a", session, "{}");
        for (const auto& role : roles)
            state.history.emplace_back(role, role + " says");
        store.wait(store->save(state));
    };
    talk("none", {});
    talk("user", {"user"});
    talk("both", {"user", "tool"});
    const auto having = [](std::string path) {
        state_query query;
        query.message_jsonpath = std::move(path);
        return query;
    };
    using names = std::vector<std::string>;
    const auto sorted = [&](const state_query& query) {
        names all;
        for (const auto& each : store.wait(store->find(query)))
            all.push_back(each.session_id);
        std::sort(all.begin(), all.end());
        return all;
    };
    CHECK(sorted(having(R"($.role == "tool")")) == names{"both"});
    CHECK(sorted(having(R"($.content starts with "user")")) == names{"both", "user"});
    CHECK(sorted(having(R"($.role == "nobody")")).empty());
    auto also = having(R"($.role == "user")");
    also.contains = parsed(R"({"history": [{"role": "tool"}, {"role": "user"}]})");
    CHECK(sorted(also) == names{"both"});
    also.contains = parsed(R"({"history": []})");
    CHECK(sorted(also) == names{"both", "user"});
    also.contains = parsed(R"({"history": "rows"})");
    CHECK(sorted(also).empty());
    check_refused(store, having("$.role =="), "jsonpath");
}

TEST_CASE("a memory_store evaluates no jsonpath, and says where one is evaluated", "[contract][find]") {
    store_under_test store(store_kind::memory);
    save_data(store, "s", R"({"score": 9})");
    for (const auto& [path, expected] : jsonpath_cases()) {
        INFO(path);
        store.refuses(store->find(matching(path), as_result), "find", "jsonpath");
        store.refuses(store->find(matching(path), as_result), "find", "embedded_server");
    }
}

TEST_CASE("find takes times from the beginning of an interval on, and before its end", "[contract][find]") {
    store_under_test store;
    const auto saves = save_sessions(store, "a", 7);
    for (const auto& [session, made] : saves)
        if (session < "session-3") store.wait(store->save(agent_state("a", session))); // later than created
    const auto everything = store.wait(store->find(state_query()));
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
                if ((!interval.from || *interval.from <= when) && (!interval.until || when < *interval.until))
                    expected.insert(state.session_id);
            }
            CHECK(found(store, query) == expected);
        }
    }
}

TEST_CASE("find combines its conditions", "[contract][find]") {
    store_under_test store;
    std::vector<pgstate::saved> saves;
    for (int i = 0; i < 8; ++i) {
        auto state = state_with(i % 2 ? "odd" : "even", "s" + std::to_string(i), R"({"kind": "x"})");
        state.data["i"] = i;
        if (i >= 6) state.data["kind"] = "y";
        saves.push_back(store.wait(store->save(state)));
    }
    auto query = containing(R"({"data": {"kind": "x"}})");
    query.agent_id = "even";
    auto sessions = found(store, query);
    CHECK(sessions == names_of{"s0", "s2", "s4"});
    if (store.kind() != store_kind::memory) {
        query.jsonpath = "$.data.i >= 2";
        sessions = found(store, query);
        CHECK(sessions == names_of{"s2", "s4"});
    }
    query.updated.from = saves[3].updated_at;
    sessions = found(store, query);
    CHECK(sessions == names_of{"s4"});
    query.created.until = saves[4].created_at;
    sessions = found(store, query);
    CHECK(sessions == names_of{});
}

TEST_CASE("find does not see what has expired", "[contract][find]") {
    store_under_test store;
    store.wait(store->save(state_with("a", "brief", R"({"n": 1})"), {.ttl = 1h}));
    save_data(store, "lasting", R"({"n": 1})");
    store.let_pass(2h);
    std::vector<state_query> queries(1);
    queries.push_back(containing(R"({"data": {"n": 1}})"));
    if (store.kind() != store_kind::memory) queries.push_back(matching("$.data.n == 1"));
    for (const auto& query : queries)
        CHECK(found(store, query) == names_of{"lasting"});
}

TEST_CASE("find gives pages in every order, which skip nothing and repeat nothing", "[contract][find]") {
    store_under_test store;
    save_sessions(store, "a", 30);
    save_sessions(store, "ä", 7);
    save_sessions(store, "B", 7);
    for (int i = 0; i < 5; ++i)
        store.wait(store->save(agent_state("a", "session-" + std::to_string(i))));
    for (const auto order : {find_order::updated_descending, find_order::updated_ascending,
                             find_order::created_descending, find_order::created_ascending}) {
        state_query query;
        query.order = order;
        for (const std::size_t limit : {std::size_t{1}, std::size_t{7}, std::size_t{44}, std::size_t{1000}}) {
            const auto all = every_page(store, query, limit);
            CHECK(all.size() == 44);
            CHECK(std::is_sorted(all.begin(), all.end(), [order](const agent_state& a, const agent_state& b) {
                return in_order(order, a, b);
            }));
        }
    }
}

TEST_CASE("find pages over 1,025 states while others come and go", "[contract][find]") {
    store_under_test store;
    save_sessions(store, "a", 1025);
    find_options options(100);
    options.documents = false;
    state_query query;
    query.agent_id = "a";
    comings_and_goings meanwhile;
    for (;;) {
        const auto page = store.wait(store->find(query, options));
        for (const auto& state : page)
            meanwhile.saw(state.session_id);
        if (page.next.empty()) break;
        options.after = page.next;
        meanwhile.after_page(store, "a", page.states.back().session_id);
    }
    meanwhile.check(1025);
}

TEST_CASE("find refuses bad input by name", "[contract][find]") {
    store_under_test store;
    for (const std::size_t limit : {std::size_t{0}, find_options::max_limit + 1, std::size_t{1'000'000'000}})
        check_refused(store, state_query(), "limit", find_options(limit));
    check_refused(store, state_query(), "timeout", find_options(100, {}, -1ms));
    for (const auto& bad : bad_texts()) {
        state_query query;
        query.agent_id = bad;
        check_refused(store, query, "agent_id");
        check_refused(store, matching(bad), "jsonpath");
        query = {};
        query.contains["data"].emplace_object()["k"] = bad;
        check_refused(store, query, "contains");
    }
    state_query query;
    query.contains["data"].emplace_object()["x"] = std::numeric_limits<double>::quiet_NaN();
    check_refused(store, query, "contains");
    query = {};
    query.updated = {pgstate::timestamp(5us), pgstate::timestamp(4us)};
    check_refused(store, query, "updated");
    query = {};
    query.created = {pgstate::timestamp(5us), pgstate::timestamp(4us)};
    check_refused(store, query, "created");
    check_refused(store, matching(std::string(pgstate::max_change_bytes + 1, ' ')), "jsonpath");
}

TEST_CASE("a jsonpath that the server refuses is an invalid argument, in the server's words",
          "[contract][find]") {
    store_under_test store(GENERATE(from_range(kinds_with_jsonpath)));
    save_data(store, "s", R"({"score": 9, "a": "x"})");
    for (const auto& [path, sqlstate] : refused_paths()) {
        const auto& failure = store.failure(store->find(matching(path), as_result), errc::invalid_argument);
        INFO(path << ": " << failure.what());
        CHECK(std::string_view(failure.what()).starts_with("find: jsonpath is refused by the server: "));
        CHECK(failure.sqlstate() == sqlstate);
    }
    // A variable has no value here. Servers refuse it, or find nothing.
    const auto variable = store.wait(store->find(matching("$.data.score == $limit"), as_result));
    if (variable.has_error())
        CHECK(names(require_failure(variable, errc::invalid_argument), "jsonpath"));
    else
        CHECK(variable.value().empty());
    CHECK(found(store, matching("$.data.score == 9")) == names_of{"s"});
}

TEST_CASE("find's cursor is good for its query only", "[contract][find]") {
    store_under_test store;
    save_sessions(store, "a", 3);
    find_options options(2);
    state_query query;
    query.agent_id = "a";
    const std::string good = store.wait(store->find(query, options)).next;
    REQUIRE_FALSE(good.empty());

    std::vector<state_query> others(8, query);
    others[0].agent_id = "";
    others[1].agent_id = "b";
    others[2].contains = parsed(R"({"data": {}})");
    others[3].jsonpath = "exists($)";
    others[4].updated.from = pgstate::timestamp(0us);
    others[5].updated.until = pgstate::timestamp(0us);
    others[6].created.from = pgstate::timestamp(0us);
    others[7].order = find_order::updated_ascending;
    options.after = good;
    for (const auto& other : others)
        check_refused(store, other, "cursor", options);
    store.refuses(store->list_agents(pgstate::list_agents_options(2, good), as_result), "list_agents",
                  "cursor");
    store.refuses(store->list("a", pgstate::list_options(2, good), as_result), "list", "cursor");
    for (const auto& cursor : altered(good))
        check_refused(store, query, "cursor", find_options(2, cursor));
    const auto of_list = store.wait(store->list("a", pgstate::list_options(2))).next;
    check_refused(store, query, "cursor", find_options(2, of_list));
    options.limit = 1; // the page's size is no part of the query
    CHECK(store.wait(store->find(query, options)).size() == 1);
}
