// Histories in rows, without a server: documents and messages, marks, statements, the comparison of the tables.

#include "codec/codec.hpp"
#include "codec/history.hpp"
#include "config/resolved.hpp"
#include "pgstate/detail/encoded_state.hpp"
#include "schema/shape.hpp"
#include "sql/message_rows.hpp"

#include <boost/json/parse.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

using namespace pgstate;

namespace {

constexpr std::array<unsigned char, 16> some_epoch{1, 2, 3};

agent_message message_of(std::size_t number) {
    agent_message made("user", "text, with [\"marks\"] " + std::to_string(number));
    made.timestamp = timestamp(std::chrono::seconds(1 + number));
    return made;
}

agent_state state_of_messages(std::size_t count) {
    agent_state state("a", "s");
    state.version = 1;
    for (std::size_t i = 0; i < count; ++i)
        state.history.push_back(message_of(i));
    return state;
}

/// As it was loaded from rows: all of it, or what is behind `first`.
agent_state loaded_from_rows(std::size_t count, std::size_t first = 0) {
    auto state = state_of_messages(count);
    state.history.erase(state.history.begin(), state.history.begin() + static_cast<std::ptrdiff_t>(first));
    codec::note_window(state, first, count, some_epoch);
    return state;
}

std::string joined(const std::vector<std::string_view>& texts) {
    std::string all;
    for (const auto each : texts)
        all.append(all.empty() ? "" : ",").append(each);
    return all;
}

} // namespace

TEST_CASE("a document can be taken apart into its messages and the rest, and put together again", "[rows]") {
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{9}}) {
        auto state = state_of_messages(count);
        state.data["k"] = "\"history\":[1]";
        state.extra["tenant"] = "t";
        const auto encoded = codec::encode_placed(state, "save");
        const auto rest = codec::without_history(encoded.text, encoded.history);
        CHECK(boost::json::parse(rest).at("history").as_string() == "rows");
        const auto messages = codec::messages_in(encoded.text, encoded.history);
        REQUIRE(messages.size() == count);
        for (std::size_t i = 0; i < count; ++i)
            CHECK(boost::json::parse(std::string(messages[i])).at("content").as_string() ==
                  state.history[i].content);
        CHECK(codec::messages_in(encoded.text, encoded.history, count).empty());
        CHECK(codec::messages_in(encoded.text, encoded.history, count + 1).empty());

        const auto all = joined(messages);
        auto again = codec::decode("a", "s", rest, 1, {}, {}, {}, "load", all);
        CHECK(again == state);
        // A reader who expects no rows says so, rather than finding no messages.
        try {
            codec::decode("a", "s", rest, 1, {}, {});
            FAIL("it was read");
        } catch (const error& e) {
            CHECK(e == errc::corrupt_state);
            CHECK(std::string_view(e.what()).find("schema.history") != std::string_view::npos);
        }
        // Where the document has the history, rows do not count.
        CHECK(codec::decode("a", "s", encoded.text, 1, {}, {}, {}, "load", "") == state);
    }
    const auto rest = codec::without_history(codec::encode(agent_state("a", "s")),
                                             codec::encode_placed(agent_state("a", "s"), "save").history);
    for (const auto* wrong :
         {"1", "{},", "{}{}", "[]", "{\"role\":1}", "{}],\"data\":{\"x\":1},\"history\":[{}"}) {
        INFO(wrong);
        try {
            const auto read = codec::decode("a", "s", rest, 1, {}, {}, {}, "load", std::string_view(wrong));
            CHECK(read.data.empty()); // nothing but messages counts
            CHECK(std::string_view(wrong).find("data") != std::string_view::npos);
        } catch (const error& e) {
            CHECK(e == errc::corrupt_state);
        }
    }
}

TEST_CASE("a mark is of use while the state begins with what is stored", "[rows]") {
    const auto encoded_after = [](auto change) {
        auto state = loaded_from_rows(3);
        change(state);
        const detail::encoded_state encoded(state);
        CHECK_FALSE(encoded.failure.has_value());
        CHECK(encoded.stored_messages == 0); // it is whole
        CHECK(encoded.history.messages.size() == state.history.size());
        return encoded;
    };
    const auto fits = [](const detail::encoded_state& encoded) {
        CHECK(encoded.known_messages == (encoded.epoch == some_epoch ? 3 : 0));
        return encoded.epoch == some_epoch;
    };
    CHECK(fits(encoded_after([](auto&) {})));
    CHECK(fits(encoded_after([](auto& s) { s.history.push_back(message_of(3)); })));
    CHECK(fits(encoded_after([](auto& s) { s.data["x"] = 1; })));
    CHECK_FALSE(fits(encoded_after([](auto& s) { s.history[2].content += "!"; })));
    CHECK_FALSE(fits(encoded_after([](auto& s) { s.history[0].metadata["x"] = 1; })));
    CHECK_FALSE(fits(encoded_after([](auto& s) { s.history.pop_back(); })));
    CHECK_FALSE(fits(encoded_after([](auto& s) { s.history.erase(s.history.begin()); })));
    CHECK_FALSE(fits(encoded_after([](auto& s) { std::swap(s.history[0], s.history[1]); })));
    CHECK_FALSE(fits(encoded_after([](auto& s) { s.session_id = "other"; })));
    CHECK_FALSE(fits(encoded_after([](auto& s) { s.mark = {}; })));
    CHECK_FALSE(fits(encoded_after([](auto& s) { s.history.clear(); })));
}

TEST_CASE("a part of a history in rows keeps its epoch", "[rows]") {
    auto state = loaded_from_rows(5, 3);
    state.history.push_back(message_of(5));
    const detail::encoded_state encoded(state);
    CHECK(encoded.stored_messages == 5);
    CHECK(encoded.known_messages == 5);
    CHECK(encoded.epoch == some_epoch);
    CHECK(encoded.history.messages.size() == 1);
}

TEST_CASE("what a save says is the mark of the next one", "[rows]") {
    auto state = state_of_messages(2);
    state.history.emplace_back("user", "without a time");
    saved done{7, {}, {}, {}};
    done.mark = codec::with_epoch(detail::encoded_state(state).mark, some_epoch);
    auto changed = state;
    changed.history[0].content = "changed before apply_to";
    done.apply_to(state);
    CHECK(state.version == 7);
    CHECK(state.history[2].timestamp != timestamp());
    state.history.push_back(message_of(9));
    const detail::encoded_state next(state);
    CHECK(next.epoch == some_epoch);
    CHECK(next.known_messages == 3);
    done.apply_to(changed);
    CHECK(detail::encoded_state(changed).epoch != some_epoch);
    // An outcome without a mark, of a merge say, leaves the state's own.
    saved{8, {}, {}, {}}.apply_to(state);
    CHECK(detail::encoded_state(state).epoch == some_epoch);
}

TEST_CASE("statements on messages have as many parameters as they name", "[rows]") {
    using sql::message_rows;
    using sql::table_sql;
    const sql::histories where{.messages = "m", .checkpoints = "c", .begin_in_rows = true};
    for (const auto by : {table_sql::writer::named, table_sql::writer::nameless})
        for (const auto input : {message_rows::input::one, message_rows::input::many}) {
            const table_sql table("t", by, where);
            const message_rows rows(table, input);
            for (const auto& text : {rows.append(), rows.append_once(), rows.append_or_create(),
                                     rows.replace(), rows.extend(), rows.save(table_sql::existing::replaced),
                                     rows.save(table_sql::existing::unchanged), rows.lock()}) {
                INFO(text.sql);
                const auto highest = text.parameters.size();
                CHECK(text.sql.find("$" + std::to_string(highest)) != std::string::npos);
                CHECK(text.sql.find("$" + std::to_string(highest + 1)) == std::string::npos);
            }
        }
    CHECK(message_rows::version_condition({}) == std::numeric_limits<std::int64_t>::min());
    CHECK(message_rows::version_condition(0) == 0);
    CHECK(message_rows::version_condition(std::numeric_limits<std::int64_t>::min()) !=
          message_rows::version_condition({}));
}

TEST_CASE("histories may be in rows where somebody wants them, or where they have been", "[rows][schema]") {
    config input{.connection_string = "host=nowhere"};
    const auto documents = settings::resolve(input);
    input.schema.history = history_layout::rows;
    const auto rows = settings::resolve(input);
    CHECK(rows.schema.checkpoints); // which name messages
    schema::table_shape shape;
    CHECK_FALSE(may_be_in_rows(shape, documents));
    CHECK(may_be_in_rows(shape, rows));
    shape.columns.push_back({.name = "epoch", .oid = 2950, .type = "uuid"});
    CHECK_FALSE(may_be_in_rows(shape, documents));
    shape.messages.columns.push_back({.name = "agent_id", .oid = 25, .type = "text"});
    CHECK(may_be_in_rows(shape, documents));

    const auto plan = schema::complete_plan(rows);
    CHECK(plan.rows);
    CHECK(plan.checkpoints);
    CHECK_FALSE(schema::complete_plan(documents).rows);
}
