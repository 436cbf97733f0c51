#include "codec/change.hpp"
#include "config/table_identifier.hpp"
#include "pgstate/error.hpp"
#include "postgres/operations/types.hpp"
#include "sql/write_names.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/endian/conversion.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::batch::operation_list;
using pgstate::batch::operation_ptr;
using pgstate::telemetry::operation_id;
using pgstate::wire::uuid;
namespace codec = pgstate::codec;
namespace detail = pgstate::detail;
namespace postgres = pgstate::postgres;
namespace sql = pgstate::sql;

boost::asio::any_completion_executor executor() {
    static boost::asio::io_context context;
    return context.get_executor();
}

const auto ignored = [](auto&&...) {};

/// A table and operations on it.
struct on_table {
    explicit on_table(std::string_view name = "agent_states", sql::session_settings settings = {})
        : table(pgstate::settings::parse_table_name(name), std::move(settings)) {}

    operation_ptr load(const std::string& session, const pgstate::history_window& window = {}) const {
        return new postgres::load_operation(types.of_load(window), "agent", session, window, ignored,
                                            executor());
    }
    /// \param version  -1: any
    operation_ptr save(const std::string& session, std::int64_t version = -1,
                       std::optional<std::chrono::milliseconds> ttl = {}) const {
        agent_state state("agent", session);
        state.version = std::max<std::int64_t>(version, 0);
        return save(state, {.if_unchanged = version >= 0, .ttl = ttl});
    }
    operation_ptr save(const agent_state& state, const pgstate::save_options& options,
                       std::chrono::milliseconds default_ttl = 0ms) const {
        return new postgres::save_operation(types.save, detail::encoded_state(state), options, default_ttl,
                                            ignored, executor());
    }
    operation_ptr erase(const std::string& session, std::optional<std::int64_t> version = {}) const {
        const auto& as =
            version ? static_cast<const pgstate::batch::operation_type&>(types.erase_version) : types.erase;
        return new postgres::erase_operation(as, "agent", session, version, ignored, executor());
    }
    operation_ptr touch(const std::string& session) const {
        return new postgres::touch_operation(types.touch, "agent", session, 1s, ignored, executor());
    }
    operation_ptr change(operation_id id, const detail::state_change& change, bool create,
                         postgres::change_terms terms = {}) const {
        auto encoded = codec::encode_change(change, "agent", "a", create);
        return new postgres::change_operation(id, types.change, "agent", "a", std::move(encoded), terms,
                                              ignored, executor());
    }

    static pgstate::batch::command build(const operation_list& operations) {
        const auto made =
            static_cast<const pgstate::batch::operation_type&>(*operations.front()->type).build(operations);
        CHECK(made.values.size() == made.what->parameters.size());
        return made;
    }

    sql::target_table table;
    const postgres::operation_types types{table};
};

struct on_some_table {
    on_table on;
};

/// The number of elements of an array in PostgreSQL's binary format (array_recv).
std::int32_t count_of(std::string_view array) {
    REQUIRE(array.size() >= 20);
    return boost::endian::load_big_s32(reinterpret_cast<const unsigned char*>(array.data()) + 12);
}

std::string_view bytes_of(const uuid& name) {
    return {reinterpret_cast<const char*>(name.data()), name.size()};
}

} // namespace

TEST_CASE_METHOD(on_some_table, "one operation takes the single-row statement, several share one",
                 "[operations]") {
    const auto one = on.build({on.load("a")});
    CHECK(one.values.size() == 2);
    CHECK(one.values.value(1) == "a");
    CHECK_FALSE(one.what->name.empty());

    const auto many = on.build({on.save("a"), on.save("b"), on.save("c")});
    CHECK(many.values.size() == 4); // the last one is the statement's name
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(count_of(many.values.value(i)) == 3);
    CHECK_FALSE(many.what->name.empty()); // no plan of it can go bad
    CHECK(on.build({on.save("a", 7), on.save("b", 8)}).values.size() == 6);
}

TEST_CASE_METHOD(on_some_table, "loads with windows share a statement, each with its own", "[operations]") {
    using pgstate::history_window;
    const auto one = on.build({on.load("a", history_window::last(7))});
    CHECK(one.values.size() == 5);
    CHECK(one.values.value(4) == std::string(7, '\0') + '\7');
    const auto same_key =
        on.build({on.load("a", history_window::last(7)), on.load("a", history_window::none)});
    for (std::size_t i = 0; i < 5; ++i)
        CHECK(count_of(same_key.values.value(i)) == 2);
    CHECK(on.build({on.load("a", history_window::all)}).what == on.build({on.load("a")}).what);
}

TEST_CASE_METHOD(on_some_table, "states are made with a ttl only where somebody gave one", "[operations]") {
    CHECK(on.build({on.save("a")}).values.size() == 4);
    CHECK(on.build({on.save("a", -1, 1s)}).values.size() == 5);
    CHECK(on.build({on.save("a", 0)}).values.size() == 4);
    CHECK(on.build({on.save("a", 0, 1s)}).values.size() == 5);
    const auto many = on.build({on.save("a"), on.save("b", -1, 1s)});
    REQUIRE(many.values.size() == 5);
    CHECK(count_of(many.values.value(3)) == 2);
    CHECK(on.build({on.save("a", 7), on.save("b", 8, 1s)}).values.size() == 6);
}

TEST_CASE_METHOD(on_some_table, "a save of a loaded state without a ttl keeps the expiry", "[operations]") {
    agent_state state("agent", "a");
    const auto fresh = on.save(state, {}, 1s);
    state.version = 7;
    const auto blind = on.save(state, {}, 1s);
    CHECK(on.build({blind}).values.size() == 5); // where the row is gone it is made, with the default ttl
    CHECK(on.build({blind}).what != on.build({fresh}).what);
    CHECK(on.build({on.save(state, {.ttl = 1s})}).what == on.build({fresh}).what);
    const auto conditional = on.build({on.save(state, {.if_unchanged = true}, 1s)});
    CHECK(conditional.values.value(4) == std::string(8, '\0')); // no default for what is there already
}

TEST_CASE_METHOD(on_some_table, "a change is sent with its key, its terms and itself", "[operations]") {
    const auto build = [&](operation_id id, const detail::state_change& change, bool create) {
        const auto operation = on.change(id, change, create);
        CHECK(operation->type->shares == (id == operation_id::append));
        const auto made = on.build({operation});
        CHECK(made.what->sql.starts_with(create ? "INSERT" : "UPDATE"));
        CHECK((made.values.value(2).data() == nullptr) == !create); // the version: NULL
        return made.values.size();
    };
    for (const bool create : {false, true}) {
        const std::size_t more = create ? 1 : 0;
        CHECK(build(operation_id::append, std::vector<pgstate::agent_message>(1), create) == 6 + more);
        CHECK(build(operation_id::merge, pgstate::state_patch(), create) == 9 + more);
        CHECK(build(operation_id::increment, detail::increment{"/data/n", std::int64_t{1}}, create) ==
              7 + more);
        CHECK(build(operation_id::increment, detail::increment{"/data/n", 0.5}, create) == 7 + more);
    }
}

TEST_CASE_METHOD(on_some_table, "appends share where what they ask for can be in one statement",
                 "[operations]") {
    const auto append = [&](bool create, postgres::change_terms terms = {}) {
        return on.change(operation_id::append, std::vector<pgstate::agent_message>(1), create, terms);
    };
    for (const bool create : {false, true}) {
        const auto made = on.build({append(create), append(create)});
        CHECK(made.values.size() == 5);
        CHECK(count_of(made.values.value(2)) == 2);
        CHECK(made.what->name.empty() == !create);
        CHECK(append(create, {.ttl = 1s})->type->shares == !create);
    }
    CHECK_FALSE(append(false, {.if_version = 1})->type->shares);
}

TEST_CASE_METHOD(on_some_table, "a document that travels alone is sent from where it was encoded",
                 "[operations]") {
    const auto operation = on.save("a");
    const auto& document = static_cast<const postgres::save_operation&>(*operation).state().document;
    CHECK(on.build({operation}).values.value(2).data() == document.data());
}

TEST_CASE_METHOD(on_some_table, "loads of one key ask for it once", "[operations]") {
    const auto made = on.build({on.load("a"), on.load("a"), on.load("b"), on.load("b"), on.load("b")});
    CHECK(count_of(made.values.value(0)) == 2);
    CHECK(count_of(made.values.value(1)) == 2);
}

TEST_CASE_METHOD(on_some_table,
                 "batched lookups on a table not known to be large are planned anew, for the index",
                 "[operations]") {
    for (const auto& operations :
         {operation_list{on.load("a"), on.load("b")}, operation_list{on.save("a", 1), on.save("b", 2)},
          operation_list{on.erase("a"), on.erase("b")}}) {
        const auto made = on.build(operations);
        CHECK(made.what->name.empty());
        REQUIRE(made.before);
        CHECK(made.before->what.sql.find("set_config('enable_seqscan', 'off', true)") != std::string::npos);
    }
}

TEST_CASE("the table's size is asked for along with an operation, not with each", "[operations]") {
    const auto [name, quoted] = GENERATE(std::pair("agent_states", R"("agent_states")"),
                                         std::pair(R"("it's".agent_states)", R"("it''s"."agent_states")"));
    on_table on(name);
    const auto first = on.build({on.load("a")});
    REQUIRE(first.before);
    CHECK(first.before->what.sql == std::string("SELECT pg_relation_size(E'") + quoted + "'::regclass)");
    CHECK_FALSE(on.build({on.load("a")}).before);
    CHECK_FALSE(on.build({on.save("a"), on.save("b")}).before);
}

TEST_CASE("session settings run first in each transaction, together with whatever else does",
          "[operations]") {
    on_table on("agent_states", {{"app.tenant_id", "it's acme"}, {"enable_seqscan", "on"}});
    constexpr auto calls = "set_config(E'app.tenant_id', $1, true), set_config(E'enable_seqscan', $2, true)";
    const auto check = [&](const pgstate::batch::command& made, const std::string& begin,
                           const std::string& end) {
        REQUIRE(made.before);
        CHECK(made.before->what.sql == "SELECT " + begin + ", " + calls + end);
        REQUIRE(made.before->values.size() == 2);
        CHECK(made.before->what.parameters.size() == 2);
        CHECK(made.before->values.value(0) == "it's acme");
        CHECK(made.before->values.value(1) == "on");
    };
    const std::string size = R"(pg_relation_size(E'"agent_states"'::regclass))";
    check(on.build({on.load("a")}), size, ""); // once a second
    check(on.build({on.load("a")}), "-1::bigint", "");
    check(on.build({on.save("a")}), "-1::bigint", "");
    check(on.build({on.load("a"), on.load("b")}), size,
          ", set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), "
          "set_config('enable_mergejoin', 'off', true)");
}

TEST_CASE("a refusal does not tell the values of session settings", "[operations]") {
    using pgstate::wire::server_error;
    const auto table = pgstate::settings::parse_table_name("agent_states");
    const postgres::table_dialect dialect(
        table, {{"app.tenant_id", "acme"}, {"role", "manager"}, {"app.nothing", ""}});
    const auto censored = [&](server_error refusal, bool first) {
        dialect.censor(refusal, first);
        return refusal.message;
    };
    CHECK(censored({"22P02", R"(invalid input syntax for type uuid: "acme")"}, false) ==
          "invalid input syntax for type uuid: (the value of app.tenant_id)");
    CHECK(censored({"22023", "8 is outside the valid range"}, true) ==
          "the server refused one of config.session_settings (app.tenant_id, role, app.nothing)");
    CHECK(censored({"42501", R"(permission denied to set role "manager")"}, true) ==
          "permission denied to set role (the value of role)");
    CHECK(censored({"42P01", R"(relation "agent_states" does not exist)"}, true) ==
          R"(relation "agent_states" does not exist)");
    const postgres::table_dialect without(table, {});
    server_error untouched{"22023", "as it is"};
    without.censor(untouched, true);
    CHECK(untouched.message == "as it is");
}

TEST_CASE_METHOD(on_some_table,
                 "each statement that writes has a name, which grows and which its operations know",
                 "[operations]") {
    const auto first = on.save("a");
    const auto second = on.save("b");
    const auto made = on.build({first, second});
    CHECK(first->write_name != uuid());
    CHECK(first->write_name == second->write_name);
    CHECK(made.values.value(made.values.size() - 1) == bytes_of(first->write_name));
    const auto erased = on.erase("a");
    on.build({erased});
    CHECK(sql::write_names::earlier(first->write_name, erased->write_name));
    const auto again = first->write_name;
    on.build({first});
    CHECK(sql::write_names::earlier(erased->write_name, first->write_name));
    CHECK(sql::write_names::earlier(again, first->write_name));
    const auto loaded = on.load("a");
    on.build({loaded});
    CHECK(loaded->write_name == uuid());
    on_table another;
    const auto theirs = another.save("a");
    another.build({theirs});
    CHECK_FALSE(sql::write_names::earlier(first->write_name, theirs->write_name));
    CHECK_FALSE(sql::write_names::earlier(theirs->write_name, first->write_name));
}

TEST_CASE_METHOD(on_some_table,
                 "every write but a touch and an erase draws a version, none reads a clock for it",
                 "[operations]") {
    const std::vector<pgstate::agent_message> messages(1);
    for (const auto& operations : {operation_list{on.save("a")}, operation_list{on.save("a"), on.save("b")},
                                   operation_list{on.save("a", 0)}, operation_list{on.save("a", 7)},
                                   operation_list{on.save("a", 7), on.save("b", 7)},
                                   operation_list{on.change(operation_id::append, messages, false)},
                                   operation_list{on.change(operation_id::append, messages, true)}}) {
        const auto& text = on.build(operations).what->sql;
        CAPTURE(text);
        CHECK(text.find("version = DEFAULT") != std::string::npos);
        CHECK(text.find("clock_timestamp") == std::string::npos);
    }
    for (const auto& operation : {on.erase("a"), on.erase("a", 7), on.touch("a")}) {
        const auto& text = on.build({operation}).what->sql;
        CAPTURE(text);
        CHECK(text.find("version =") == (operation->if_version() ? text.find("version = $3") : text.npos));
        CHECK(text.find("write_name") == text.npos);
    }
}

TEST_CASE_METHOD(on_some_table, "what the engine is told of an operation", "[operations]") {
    CHECK_FALSE(on.save("a")->conditional());
    CHECK_FALSE(on.save("a")->if_version());
    CHECK(on.save("a", 0)->conditional()); // to be made: there is no version that it replaces
    CHECK_FALSE(on.save("a", 0)->if_version());
    CHECK(on.save("a", 7)->conditional());
    CHECK(on.save("a", 7)->if_version() == 7);
    CHECK_FALSE(on.erase("a")->conditional());
    CHECK(on.erase("a", 7)->if_version() == 7);
    CHECK(on.touch("a")->repeatable());
    const std::vector<pgstate::agent_message> messages(1);
    CHECK_FALSE(on.change(operation_id::append, messages, true)->conditional());
    CHECK(on.change(operation_id::append, messages, false, {.if_version = 7})->if_version() == 7);
    CHECK_FALSE(on.save("a")->repeatable());
    for (const auto& write : {on.save("a"), on.save("a", 0), on.save("a", 7), on.erase("a"), on.touch("a")})
        CHECK(write->writes());
    CHECK_FALSE(on.load("a")->writes());
}
