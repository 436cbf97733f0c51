// Increments where the role, the document or the database is not as pgstate would make it.

#include "support/numbers.hpp"

#include "integration/store_support.hpp"
#include "support/states.hpp"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <catch2/catch_get_random_seed.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace json = boost::json;

namespace {

/// Another writer's document in the place of the state; its version.
std::int64_t put(pqxx::connection& admin, const std::string& document) {
    return pqxx::nontransaction(admin)
        .exec(
            "INSERT INTO agent_states (agent_id, session_id, state) VALUES ('a', 's', '" + document +
            "') ON CONFLICT (agent_id, session_id) DO UPDATE SET state = EXCLUDED.state RETURNING version")[0]
                                                                                                           [0]
        .as<std::int64_t>();
}

} // namespace

TEST_CASE("a sum does not depend on extra_float_digits", "[numbers]") {
    const auto seed = Catch::getSeed();
    CAPTURE(seed);
    random_numbers random(seed);
    for (const auto* digits : {"-10", "0", "3"}) {
        CAPTURE(digits);
        opened_store f(std::string("&options=-c%20extra_float_digits%3D") + digits);
        pgstate::memory_store memory(f.context.get_executor());
        const auto sum = [&](pgstate::state_store& store, const json::value& number, const added_number& by) {
            agent_state state("a", "s");
            state.data["x"] = number;
            f.wait(store.save(state));
            std::visit(
                [&](auto more) { (void)f.wait(store.increment("a", "s", "/data/x", more, as_result)); }, by);
            return f.wait(store.load("a", "s")).value().data.at("x");
        };
        for (int i = 0; i < 100; ++i) {
            const auto number = i == 0 ? json::value(123456.79) : random.number();
            const auto by = i == 0 ? added_number(0.0) : random.addend();
            CAPTURE(json::serialize(number));
            CHECK(sum(f.store, number, by) == sum(memory, number, by));
        }
    }
}

TEST_CASE("an increment finds in a document of another writer what load shows", "[numbers]") {
    struct foreign {
        const char* document;
        const char* pointer;
        const char* expected; ///< data and context; null: load cannot read the document, nor is it changed
    };
    const std::vector<foreign> cases{
        {R"({"data":null})", "/data/n", R"([{"n":1},{}])"},
        {R"({})", "/data/n", R"([{"n":1},{}])"},
        {R"({"context":null})", "/context/n", R"([{},{"n":1}])"},
        {R"({"data":{"n":1E2}})", "/data/n", R"([{"n":101},{}])"},
        {R"({"data":{"n":1.00}})", "/data/n", R"([{"n":2.0},{}])"},
        {R"({"data":{"n":18446744073709552000}})", "/data/n", R"([{"n":18446744073709551616.0},{}])"},
        {R"({"data":{"n":100000000000000000000000}})", "/data/n", R"([{"n":1e23},{}])"},
        {R"({"data":{"n":99999999999999991611392}})", "/data/m", R"([{"n":1e23,"m":1},{}])"},
        {R"({"data":{"n":99999999999999991611392}})", "/data/n", R"([{"n":1e23},{}])"},
        {R"({"data":{"n":1000000000000000000000}})", "/data/n", R"([{"n":1e21},{}])"},
        {R"({"data":{"n":1e21}})", "/data/n", R"([{"n":1e21},{}])"},
        {R"({"data":{"n":18446744073709551616}})", "/data/n", R"([{"n":18446744073709551616.0},{}])"},
        {R"({"data":{"n":-96479882000000000000}})", "/data/n", R"([{"n":-9.6479882e19},{}])"},
        {R"({"data":{"n":18014398509481990.0}})", "/data/n", R"([{"n":18014398509481992.0},{}])"}, // + 1
        {R"({"data":{"n":-1234567890123456824475648}})", "/data/n", R"([{"n":-1.2345678901234568e24},{}])"},
        {R"({"context":{"l":[0,[1234567890123456824475648.00]]}})", "/context/l/1/0",
         R"([{},{"l":[0,[1.2345678901234568e24]]}])"},
        {R"({"data":{"n":0.1000000000000000055511151231257827021181583404541015625}})", "/data/n",
         R"([{"n":1.1},{}])"},
        {R"({"data":{"n":1e400}})", "/data/n", nullptr},
        {R"({"data":{"n":1e-400}})", "/data/n", nullptr},
        {R"({"data":{"n":12345678901234567890123}})", "/data/n", nullptr},
        {R"({"data":{"n":1234567890123456789012345}})", "/data/n", nullptr},
        {R"({"context":{"l":[-1234567890123456789012345]}})", "/context/l/0", nullptr},
        {R"({"data":{"n":99999999999999990000000}})", "/data/n",
         nullptr}, // as the server writes 1e23::float8
        {R"({"data":{"n":18446744073709551617}})", "/data/n", nullptr},
        {R"({"data":{"n":0.1234567890123456789}})", "/data/n", nullptr},
        {R"({"data":{"n":-0.123456789012345678901234567890}})", "/data/n", nullptr},
        {R"({"data":[1]})", "/data/0", nullptr},
        {R"({"data":"text"})", "/data/n", nullptr},
        {R"([{"data":{}}])", "/data/n", nullptr},
        {R"("text")", "/data/n", nullptr},
    };
    opened_store f;
    pqxx::connection admin(f.database);
    enum class form { existing, of_version, created };
    for (const auto& [document, pointer, expected] : cases)
        for (const auto how : {form::existing, form::of_version, form::created}) {
            CAPTURE(document, pointer, static_cast<int>(how));
            const auto version = put(admin, document);
            pgstate::change_options options{.create = how == form::created};
            if (how == form::of_version) options.if_version = version;
            const auto outcome = f.wait(f.store.increment("a", "s", pointer, 1, options, as_result));
            if (expected) {
                INFO((outcome ? "" : outcome.error().what()));
                REQUIRE(outcome.has_value());
                const auto loaded = f.wait(f.store.load("a", "s")).value();
                CHECK(json::value{loaded.data, loaded.context} ==
                      parsed(std::string(R"({"is":)") + expected + "}").at("is"));
                continue;
            }
            require_failure(outcome, errc::corrupt_state);
            const auto stored = pqxx::nontransaction(admin).exec("SELECT state = '" + std::string(document) +
                                                                 "' FROM agent_states");
            CHECK(stored[0][0].as<bool>());
        }
}

TEST_CASE("a change of a document that load cannot read is refused, and makes nothing of it", "[numbers]") {
    opened_store f;
    pqxx::connection admin(f.database);
    pgstate::state_patch patch;
    patch.data["n"] = 1;
    pgstate::agent_message named("user", "x");
    named.id = "m1";
    const auto outcomes = [&](const pgstate::change_options& options) {
        return std::vector{f.wait(f.store.append("a", "s", {{"user", "x"}}, options, as_result)),
                           f.wait(f.store.append("a", "s", named, options, as_result)),
                           f.wait(f.store.merge("a", "s", patch, options, as_result)),
                           f.wait(f.store.increment("a", "s", "/data/n", 1, options, as_result))};
    };
    for (const std::string document :
         {"[1]", "[]", R"("x")", "5", "null", R"({"data":[1]})", R"({"data":"x"})", R"({"context":5})",
          R"({"context":[{}]})", R"({"history":{"role":"x"}})", R"({"history":"x"})", R"({"history":1})",
          R"([{"history":[]}])"}) {
        const auto version = put(admin, document);
        for (const auto& options : {pgstate::change_options{}, pgstate::change_options{.create = true},
                                    pgstate::change_options{.if_version = version}})
            for (const auto& outcome : outcomes(options)) {
                CAPTURE(document, options.create, options.if_version.has_value());
                CHECK(require_failure(outcome, errc::corrupt_state).operation() != "load");
            }
        for (const auto& outcome : outcomes({.if_version = version + 1}))
            CHECK(require_failure(outcome, errc::conflict).current_version() == version);
        // In a shared statement the neighbours are not harmed.
        f.wait(f.store.save(agent_state("a", "neighbour")));
        for (const bool create : {false, true}) {
            outcome<pgstate::saved> odd;
            outcome<pgstate::saved> neighbour;
            const pgstate::change_options options{.create = create};
            f.store.append("a", "s", named, options, as_result(odd.handler()));
            f.store.append("a", "neighbour", {{"user", "x"}}, options, as_result(neighbour.handler()));
            require_failure(odd.wait(f.context), errc::corrupt_state);
            CHECK(neighbour.wait(f.context).has_value());
        }
        const auto row = pqxx::nontransaction(admin).exec(
            "SELECT state = '" + document + "', version FROM agent_states WHERE session_id = 's'");
        CHECK(row[0][0].as<bool>());
        CHECK(row[0][1].as<std::int64_t>() == version);
    }
    for (const std::string document :
         {R"({"data":null,"context":null,"history":null})", R"({"other":[1]})"}) {
        CAPTURE(document);
        put(admin, document);
        for (const auto& outcome : outcomes({}))
            CHECK(outcome.has_value());
        const auto state = f.wait(f.store.load("a", "s")).value();
        CHECK(state.data == json::object{{"n", 2}});
        CHECK(state.history.size() == 2);
    }
}

TEST_CASE("a change makes a state that has expired anew, whatever was in its row", "[numbers]") {
    opened_store f;
    pqxx::connection admin(f.database);
    put(admin, R"({"history":{"role":"x"},"data":[1]})");
    run_on(f.database, "UPDATE agent_states SET expires_at = now() - interval '1 hour'");
    f.failure(f.store.append("a", "s", {{"user", "x"}}, as_result), errc::not_found);
    CHECK(f.wait(f.store.append("a", "s", {{"user", "x"}}, {.create = true})).version > 0);
    CHECK(f.wait(f.store.load("a", "s"))->history.size() == 1);
}

TEST_CASE("an increment takes and refuses the numbers that load takes and refuses", "[numbers]") {
    const auto seed = Catch::getSeed();
    CAPTURE(seed);
    random_numbers random(seed);
    opened_store f;
    pqxx::connection admin(f.database);
    for (int i = 0; i < 300; ++i) {
        const auto number = random.number().to_number<double>();
        char text[2048];
        auto* end = i % 3 == 0
                        ? std::to_chars(text, std::end(text), number, std::chars_format::scientific).ptr
                        : std::to_chars(text, std::end(text), number, std::chars_format::fixed, 1074).ptr;
        if (i % 3 == 1) { // not quite the exact number
            auto* digit = std::find_if(text, end, [](char c) { return c >= '1' && c <= '9'; });
            digit = std::min(digit + 17 + random.below(20), end - 1);
            if (*digit != '.') *digit = static_cast<char>(*digit == '9' ? '1' : *digit + 1);
        }
        const std::string written(text, end);
        CAPTURE(i, written);
        put(admin, R"({"data":{"n":)" + written + "}}");
        const auto loaded = f.wait(f.store.load("a", "s", as_result));
        const auto outcome = f.wait(f.store.increment("a", "s", "/data/n", 0.0, as_result));
        if (!loaded) {
            require_failure(outcome, errc::corrupt_state);
            continue;
        }
        INFO((outcome ? "" : outcome.error().what()));
        REQUIRE(outcome.has_value());
        CHECK(f.wait(f.store.load("a", "s"))->data.at("n").to_number<double>() ==
              loaded.value()->data.at("n").to_number<double>());
    }
}

TEST_CASE("what the table refuses of an increment is not taken for the number's fault", "[numbers]") {
    opened_store f;
    f.wait(f.store.save(agent_state("a", "s")));
    for (const std::string sqlstate : {"22003", "22023", "22P02", "54000"}) {
        run_on(f.database, "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
                           " $$ BEGIN RAISE EXCEPTION 'the column is full' USING ERRCODE = '" +
                               sqlstate +
                               "'; END $$; CREATE OR REPLACE TRIGGER refuse BEFORE UPDATE ON agent_states"
                               " FOR EACH ROW EXECUTE FUNCTION refuse()");
        const auto refused = f.wait(f.store.increment("a", "s", "/data/n", 1, as_result));
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().sqlstate() == sqlstate);
        CHECK(refused.error().what() == "increment: the column is full (SQLSTATE " + sqlstate + ")");
    }
    run_on(f.database, "DROP TRIGGER refuse ON agent_states;"
                       "ALTER TABLE agent_states ALTER COLUMN version SET MAXVALUE 100 RESTART WITH 100");
    f.wait(f.store.increment("a", "s", "/data/n", 1));
    const auto refused = f.wait(f.store.increment("a", "s", "/data/n", 1, as_result));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().sqlstate() == "2200H");
}

TEST_CASE("a character that the database's encoding lacks is refused, and the encoding named", "[numbers]") {
    const auto name = fresh_database_name() + "_latin1";
    run_on(server().connection_string("postgres"), "CREATE DATABASE " + name +
                                                       " ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
                                                       " TEMPLATE template0");
    opened_store f({}, config_for(server().connection_string(name)));
    agent_state state("a", "caf\xc3\xa9");
    state.data["price"] = "12 \xe2\x82\xac";
    const auto check = [&](const auto& outcome) {
        REQUIRE_FALSE(outcome.has_value());
        CHECK(outcome.error().sqlstate() == "22P05");
        CHECK(names(outcome.error(), "\"LATIN1\""));
    };
    check(f.wait(f.store.save(state, as_result)));
    check(f.wait(f.store.load("a", "\xe2\x82\xac", as_result)));
    state.data["price"] = "12 \xc2\xa3";
    f.wait(f.store.save(state));
    CHECK(f.wait(f.store.load("a", state.session_id)).value().data == state.data);
    pgstate::state_patch patch;
    patch.data["\xe2\x82\xac"] = 1;
    check(f.wait(f.store.merge("a", state.session_id, patch, as_result)));
    check(f.wait(f.store.append("a", state.session_id, {{"user", "\xe2\x82\xac"}}, as_result)));
    check(f.wait(f.store.increment("a", state.session_id, "/data/\xe2\x82\xac", 1, as_result)));
}
