// Triggers that change keys: the row of such a write has another key than the one that was sent. Its caller is told, and the
// writes that share its statement have their own outcomes.

#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

struct keys_table {
    keys_table() : admin(f.database) {}
    void exec(const std::string& sql) { pqxx::nontransaction(admin).exec(sql); }
    /// \param change  PL/pgSQL that may change NEW or return
    void before(const std::string& events, const std::string& change) {
        exec("CREATE FUNCTION change_key() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + change +
             " RETURN NEW; END $$; CREATE TRIGGER change_key BEFORE " + events +
             " ON agent_states FOR EACH ROW EXECUTE FUNCTION change_key()");
    }

    opened_store f;
    pqxx::connection admin;
};

constexpr auto lower_case = "NEW.agent_id := lower(NEW.agent_id);";

template <class T>
void check_elsewhere(const pgstate::result<T>& outcome, const std::string& sent, const std::string& stored) {
    const auto why = require_failure(outcome, errc::corrupt_state);
    CHECK(std::string(why.what()).find("(\"" + sent + "\", \"s\")") != std::string::npos);
    CHECK(std::string(why.what()).find("(\"" + stored + "\", \"s\")") != std::string::npos);
}

template <class T>
void check_value_of(const pgstate::result<T>& outcome,
                    const pgstate::result<std::optional<agent_state>>& stored) {
    REQUIRE(outcome.has_value());
    REQUIRE(stored.has_value());
    REQUIRE(*stored);
    CHECK(outcome->version == (*stored)->version);
}

} // namespace

TEST_CASE("a key that a trigger changes is told to its own caller alone", "[changed_keys]") {
    keys_table on;
    on.before("INSERT", lower_case);
    auto& store = on.f.store;
    const pgstate::save_all_options options{.if_unchanged = GENERATE(false, true)};
    const std::vector<agent_state> states{agent_state("A1", "s"), agent_state("B2", "s"),
                                          agent_state("c3", "s"), agent_state("d4", "s")};
    const auto results = on.f.wait(store.save_all(states, options));
    REQUIRE(results.size() == 4);
    check_elsewhere(results[0], "A1", "a1");
    check_elsewhere(results[1], "B2", "b2");
    check_value_of(results[2], on.f.wait(store.load("c3", "s", as_result)));
    check_value_of(results[3], on.f.wait(store.load("d4", "s", as_result)));
    CHECK(store.stats().statements <= 4);
}

TEST_CASE("rows whose keys are changed into those of neighbours are paired by position", "[changed_keys]") {
    keys_table on;
    on.before("INSERT", "NEW.agent_id := chr(ascii(NEW.agent_id) + 1);");
    const std::vector<agent_state> states{agent_state("a", "s"), agent_state("b", "s"),
                                          agent_state("c", "s")};
    const auto results = on.f.wait(on.f.store.save_all(states));
    check_elsewhere(results[0], "a", "b");
    check_elsewhere(results[1], "b", "c");
    check_elsewhere(results[2], "c", "d");
}

TEST_CASE("where rows are missing as well, what cannot be told apart is sent alone", "[changed_keys]") {
    keys_table on;
    on.before("INSERT", std::string("IF NEW.agent_id = 'none' THEN RETURN NULL; END IF; ") + lower_case);
    auto& store = on.f.store;
    const std::vector<agent_state> states{agent_state("A1", "s"), agent_state("b2", "s"),
                                          agent_state("none", "s"), agent_state("z", "s")};
    const auto results = on.f.wait(store.save_all(states));
    check_elsewhere(results[0], "A1", "a1");
    require_failure(results[2], errc::schema_mismatch);
    check_value_of(results[1], on.f.wait(store.load("b2", "s", as_result)));
    check_value_of(results[3], on.f.wait(store.load("z", "s", as_result)));
}

TEST_CASE("an update that changes keys is told likewise", "[changed_keys]") {
    keys_table on;
    auto& store = on.f.store;
    std::vector<agent_state> states{agent_state("A1", "s"), agent_state("b2", "s"), agent_state("c3", "s")};
    for (auto& each : states)
        on.f.wait(store.save(each)).apply_to(each);
    on.before("UPDATE", lower_case);
    SECTION("saves over a version") {
        const auto results = on.f.wait(store.save_all(states, {.if_unchanged = true}));
        check_elsewhere(results[0], "A1", "a1");
        check_value_of(results[1], on.f.wait(store.load("b2", "s", as_result)));
        check_value_of(results[2], on.f.wait(store.load("c3", "s", as_result)));
    }
    SECTION("one save") {
        check_elsewhere(on.f.wait(store.save(states[0], as_result)), "A1", "a1");
    }
    SECTION("a change") {
        check_elsewhere(on.f.wait(store.append("A1", "s", pgstate::agent_message("user", "hi"), as_result)),
                        "A1", "a1");
    }
    SECTION("a touch") {
        check_elsewhere(on.f.wait(store.touch("A1", "s", 1h, as_result)), "A1", "a1");
    }
    SECTION("an update") {
        auto change = [](agent_state& loaded) { loaded.data["x"] = 1; };
        check_elsewhere(on.f.wait(store.update("A1", "s", change, as_result)), "A1", "a1");
    }
    SECTION("a transaction, which is rolled back") {
        auto save = [&](pgstate::transaction& tx) { tx.save(states[0]); };
        check_elsewhere(on.f.wait(store.transaction(save, as_result)), "A1", "a1");
        CHECK(on.f.wait(store.load("A1", "s")).has_value());
    }
}

TEST_CASE("a collation that takes keys for the same does not mix up answers", "[changed_keys]") {
    keys_table on;
    auto& store = on.f.store;
    on.exec("CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
            "ALTER TABLE agent_states ALTER COLUMN agent_id TYPE text COLLATE any_case");
    const std::vector<agent_state> first{agent_state("a", "s"), agent_state("b", "s")};
    CHECK(on.f.wait(store.save_all(first))[0].has_value());
    const std::vector<agent_state> second{agent_state("A", "s"), agent_state("b", "s")};
    const auto again = on.f.wait(store.save_all(second));
    check_elsewhere(again[0], "A", "a");
    CHECK(again[1].has_value());
    const std::vector<pgstate::state_key> keys{{"A", "s"}, {"b", "s"}};
    CHECK(on.f.wait(store.erase_all(keys)) == 2);
}
