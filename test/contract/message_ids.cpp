#include "support/states.hpp"
#include "support/stores.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_message;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::change_options;
using pgstate::errc;

namespace {

constexpr change_options made_if_missing{.create = true};

agent_message named(std::string id, std::string content) {
    agent_message message("user", std::move(content), pgstate::timestamp(1h));
    message.id = std::move(id);
    return message;
}

/// What is in the history, as "id:content id:content".
std::string history_of(store_under_test& store, std::string_view session = "s") {
    std::string text;
    for (const auto& each : store.loaded("a", session).history)
        text.append(text.empty() ? "" : " ").append(each.id).append(":").append(each.content);
    return text;
}

} // namespace

TEST_CASE("a message is appended once, by its id", "[contract][ids]") {
    store_under_test store;
    const bool create = GENERATE(false, true);
    const change_options options{.create = create};
    if (!create) store.wait(store->save(agent_state("a", "s")));

    const auto first = store.wait(store->append("a", "s", named("1", "one"), options));
    CHECK(first.applied);
    const auto before = store.loaded("a", "s");
    const auto again = store.wait(store->append("a", "s", named("1", "not this"), options));
    CHECK_FALSE(again.applied);
    CHECK(again.version == first.version);
    CHECK(again.created_at == first.created_at);
    CHECK(again.updated_at == first.updated_at);
    CHECK(again.expires_at == first.expires_at);
    CHECK(store.loaded("a", "s") == before);

    // Some are new: these are added, in their order.
    const auto some = store.wait(store->append(
        "a", "s", std::vector{named("2", "two"), named("1", "not this"), named("3", "three")}, options));
    CHECK(some.applied);
    CHECK(some.version > first.version);
    CHECK(history_of(store) == "1:one 2:two 3:three");

    // One without an id is always new.
    CHECK(
        store.wait(store->append("a", "s", std::vector{named("1", "x"), named("", "any")}, options)).applied);
    CHECK(
        store.wait(store->append("a", "s", std::vector{named("1", "x"), named("", "any")}, options)).applied);
    CHECK(history_of(store) == "1:one 2:two 3:three :any :any");
}

TEST_CASE("ids that are equal in one append: the first counts", "[contract][ids]") {
    store_under_test store;
    const std::vector twice{named("1", "first"), named("1", "second"), named("", "any"), named("", "any")};
    store.wait(store->append("a", "s", twice, made_if_missing));
    CHECK(history_of(store) == "1:first :any :any");
    store.wait(store->save(agent_state("a", "t")));
    store.wait(store->append("a", "t", twice));
    CHECK(history_of(store, "t") == "1:first :any :any");
}

TEST_CASE("an append with nothing new leaves the expiry, and meets its condition", "[contract][ids]") {
    store_under_test store;
    const auto first = store.wait(store->append("a", "s", named("1", "one"), {.create = true, .ttl = 1h}));
    const auto again = store.wait(store->append("a", "s", named("1", "one"), {.ttl = 3h}));
    CHECK_FALSE(again.applied);
    CHECK(again.expires_at == first.expires_at);

    CHECK_FALSE(
        store.wait(store->append("a", "s", named("1", "one"), {.if_version = first.version})).applied);
    const auto conflict = store.failure(
        store->append("a", "s", named("1", "one"), {.if_version = first.version + 1}, as_result),
        errc::conflict, "append");
    CHECK(conflict.current_version() == first.version);
    store.failure(store->append("a", "none", named("1", "one"), as_result), errc::not_found, "append");
    CHECK(store.wait(store->append("a", "s", named("2", "two"), {.if_version = first.version})).applied);
}

TEST_CASE("an id that was erased with its state is new again", "[contract][ids]") {
    store_under_test store;
    store.wait(store->append("a", "s", named("1", "one"), made_if_missing));
    store.wait(store->erase("a", "s"));
    CHECK(store.wait(store->append("a", "s", named("1", "two"), made_if_missing)).applied);
    CHECK(history_of(store) == "1:two");

    auto state = store.loaded("a", "s");
    state.history.clear();
    store.wait(store->save(state));
    CHECK(store.wait(store->append("a", "s", named("1", "three"))).applied);
    CHECK(history_of(store) == "1:three");
}

TEST_CASE("ids are compared as text, whole", "[contract][ids]") {
    store_under_test store;
    const std::vector<std::string> ids{"1",
                                       "1.0",
                                       "01",
                                       " 1",
                                       "a",
                                       "A",
                                       "a\"b",
                                       "a\\b",
                                       "null",
                                       "[]",
                                       "{\"id\":1}",
                                       "%",
                                       "\xc3\xa9",
                                       "e\xcc\x81",
                                       "\n\t",
                                       std::string(256, 'x'),
                                       std::string(255, 'x')};
    store.wait(store->save(agent_state("a", "s")));
    for (const auto& id : ids)
        CHECK(store.wait(store->append("a", "s", named(id, "c"))).applied);
    for (const auto& id : ids)
        CHECK_FALSE(store.wait(store->append("a", "s", named(id, "c"))).applied);
    const auto loaded = store.loaded("a", "s");
    REQUIRE(loaded.history.size() == ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i)
        CHECK(loaded.history[i].id == ids[i]);
    // An id somewhere else in a message is none of its own.
    auto inner = named("", "c");
    inner.metadata["id"] = "inner";
    store.wait(store->append("a", "s", inner));
    CHECK(store.wait(store->append("a", "s", named("inner", "c"))).applied);
}

TEST_CASE("an id that cannot be one is refused, or is somebody else's member", "[contract][ids]") {
    store_under_test store;
    agent_state state("a", "s");
    store.wait(store->save(state));
    const std::string nul("a\0b", 3);
    for (const auto& bad : {std::string(257, 'x'), std::string(10'000, 'x'), nul, std::string("\xff")}) {
        store.refuses(store->append("a", "s", named(bad, "c"), as_result), "append", "history[0].id");
        state.history = {named("", "c"), named(bad, "c")};
        store.refuses(store->save(state, as_result), "save", "history[1].id");
    }
    CHECK(store.loaded("a", "s").history.empty());

    // An `id` that is no valid message id is kept in `extra` as it is.
    state.history.clear();
    for (const auto& other : {boost::json::value(7), boost::json::value(boost::json::object{{"x", 1}}),
                              boost::json::value(boost::json::array{1, 2}), boost::json::value(true),
                              boost::json::value(""), boost::json::value(std::string(257, 'x'))}) {
        state.history.push_back(named("", "c"));
        state.history.back().extra["id"] = other;
    }
    store.wait(store->save(state));
    CHECK(store.loaded("a", "s").history == state.history);
    // What can be one has its own place.
    state.history.back().extra["id"] = "name";
    store.refuses(store->save(state, as_result), "save", "history[5].extra");
    state.history.back().extra.erase("id");
    state.history.front().id = "name";
    store.refuses(store->save(state, as_result), "save", "history[0].extra");
}

TEST_CASE("an id that is no valid message id keeps no message out", "[contract][ids]") {
    store_under_test store;
    store.wait(store->save(agent_state("a", "s")));
    std::vector<agent_message> odd;
    for (const auto& other : {boost::json::value(7), boost::json::value(boost::json::object()),
                              boost::json::value(boost::json::array()), boost::json::value(""),
                              boost::json::value(std::string(257, 'x'))}) {
        odd.push_back(named("", "odd"));
        odd.back().extra["id"] = other;
    }
    odd.push_back(named("1", "one"));
    CHECK(store.wait(store->append("a", "s", odd)).applied);
    CHECK(store.wait(store->append("a", "s", odd)).applied);
    CHECK(store.wait(store->append("a", "s", odd, made_if_missing)).applied);
    CHECK(store.loaded("a", "s").history.size() == 3 * odd.size() - 2);
    // Nor does an id deeper in a message.
    auto object = named("", "odd");
    object.extra["id"] = boost::json::object{{"id", "2"}};
    store.wait(store->append("a", "s", object));
    CHECK(store.wait(store->append("a", "s", named("2", "two"))).applied);
}

TEST_CASE("ids that a save wrote count, and find sees them", "[contract][ids]") {
    store_under_test store;
    agent_state state("a", "s");
    state.history = {named("1", "one"), named("2", "two")};
    store.wait(store->save(state));
    CHECK(store.loaded("a", "s").history == state.history);
    CHECK_FALSE(store.wait(store->append("a", "s", std::vector{named("2", "x"), named("1", "x")})).applied);

    pgstate::state_query query;
    query.contains = boost::json::parse(R"({"history": [{"id": "2"}]})").as_object();
    CHECK(store.wait(store->find(query)).size() == 1);
}

TEST_CASE("16 callers append the same 20 messages: each is there once", "[contract][ids]") {
    store_under_test store;
    std::size_t done = 0;
    std::size_t applied = 0;
    for (int caller = 0; caller < 16; ++caller)
        for (int n = 0; n < 20; ++n)
            store->append("a", "s", named(std::to_string(n), "c"), made_if_missing,
                          [&](std::exception_ptr failure, pgstate::saved made) {
                              CHECK_FALSE(failure);
                              ++done;
                              applied += made.applied ? 1 : 0;
                          });
    store.run_until([&] { return done == 16 * 20; });
    CHECK(applied == 20);
    CHECK(store.loaded("a", "s").history.size() == 20);
}
