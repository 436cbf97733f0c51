#include "config/table_identifier.hpp"
#include "pgstate/error.hpp"
#include "postgres/operations.hpp"
#include "sql/statements.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/endian/conversion.hpp>

#include <catch2/catch_test_macros.hpp>

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

using pgstate::agent_state;
using pgstate::batch::operation_ptr;
using pgstate::sql::table_statements;
namespace detail = pgstate::detail;
namespace store = pgstate::store;

boost::asio::any_completion_executor executor() {
    static boost::asio::io_context context;
    return context.get_executor();
}

const auto ignored = [](auto&&...) {};

operation_ptr load(const std::string& session) {
    return new postgres::load_operation("agent", session, ignored, executor());
}
operation_ptr save(const std::string& session, std::int64_t version = -1,
                   std::chrono::milliseconds ttl = std::chrono::milliseconds(0)) {
    agent_state state("agent", session);
    state.version = std::max<std::int64_t>(version, 0);
    return new postgres::save_operation(detail::encoded_state(state), version >= 0, ttl, ignored, executor());
}

operation_ptr large(const std::string& session, std::int64_t version = -1) {
    agent_state state("agent", session);
    state.version = std::max<std::int64_t>(version, 0);
    state.data["text"] = std::string(sql::sql_text::large_document, 'x');
    return new postgres::save_operation(detail::encoded_state(state), version >= 0, std::chrono::milliseconds(0),
                                     ignored, executor());
}

pgstate::wire::reply refusal_of(std::string sqlstate, std::string message) {
    pgstate::wire::reply reply;
    reply.outcome = pgstate::wire::reply::status::refused;
    reply.failure = {std::move(sqlstate), std::move(message)};
    return reply;
}
const auto made_too_late =
    refusal_of("22P02", "invalid input syntax for type bigint: \"pgstate: made too late17\"");

/// The number of elements of an array in PostgreSQL's binary format (array_recv).
std::int32_t count_of(std::string_view array) {
    REQUIRE(array.size() >= 20);
    return boost::endian::load_big_s32(reinterpret_cast<const unsigned char*>(array.data()) + 12);
}

table_statements statements() {
    return table_statements(pgstate::settings::parse_table_name("agent_states"));
}

} // namespace

TEST_CASE("one operation takes the single-row statement, several share one", "[statements]") {
    const auto on = statements();
    const auto one = on.build({load("a")});
    CHECK(one.values.size() == 2);
    CHECK(one.values.value(1) == "a");
    CHECK_FALSE(one.what->name.empty());

    const auto many = on.build({save("a"), save("b"), save("c")});
    CHECK(many.values.size() == 4); // the last one is the statement's name
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(count_of(many.values.value(i)) == 3);
    CHECK_FALSE(many.what->name.empty()); // no plan of it can go bad
    CHECK(on.build({save("a", 7), save("b", 8)}).values.size() == 5);
}

TEST_CASE("only where somebody gave a ttl are they sent", "[statements]") {
    using namespace std::chrono_literals;
    const auto on = statements();
    CHECK(on.build({save("a")}).values.size() == 4);
    CHECK(on.build({save("a", -1, 1s)}).values.size() == 5);
    CHECK(on.build({save("a", 7)}).values.size() == 5);
    CHECK(on.build({save("a", 7, 1s)}).values.size() == 6);
    const auto many = on.build({save("a"), save("b", -1, 1s)});
    REQUIRE(many.values.size() == 5);
    CHECK(count_of(many.values.value(3)) == 2);
    CHECK(on.build({save("a", 7), save("b", 8, 1s)}).values.size() == 6);
}

TEST_CASE("a change is sent with its key, its terms and itself", "[statements]") {
    using pgstate::telemetry::operation_id;
    const auto on = statements();
    const auto build = [&](operation_id id, pgstate::detail::state_change change, bool create) {
        auto encoded = codec::encode_change(change, "agent", "a", create);
        const operation_ptr operation =
            new postgres::change_operation(id, "agent", "a", std::move(encoded), {}, ignored, executor());
        CHECK(operation->alone);
        const auto made = on.build({operation});
        CHECK(made.values.size() == made.what->parameters.size());
        CHECK(made.what->sql.starts_with(create ? "INSERT" : "UPDATE"));
        CHECK((made.values.value(2).data() == nullptr) == !create); // the version: NULL
        return made.values.size();
    };
    for (const bool create : {false, true}) {
        const std::size_t more = create ? 1 : 0;
        CHECK(build(operation_id::append, std::vector<pgstate::agent_message>(1), create) == 6 + more);
        CHECK(build(operation_id::merge, pgstate::state_patch(), create) == 9 + more);
        CHECK(build(operation_id::increment, detail::increment{"/data/n", std::int64_t{1}}, create) ==
              8 + more);
        CHECK(build(operation_id::increment, detail::increment{"/data/n", 0.5}, create) == 8 + more);
    }
}

TEST_CASE("a document that travels alone is sent from where it was encoded", "[statements]") {
    const auto on = statements();
    const auto operation = save("a");
    const auto& document = static_cast<const postgres::save_operation&>(*operation).state().document;
    CHECK(on.build({operation}).values.value(2).data() == document.data());
}

TEST_CASE("loads of one key ask for it once", "[statements]") {
    const auto on = statements();
    const auto made = on.build({load("a"), load("a"), load("b"), load("b"), load("b")});
    CHECK(count_of(made.values.value(0)) == 2);
    CHECK(count_of(made.values.value(1)) == 2);
}

TEST_CASE("batched lookups on a table not known to be large are planned anew, for the index",
          "[statements]") {
    const auto on = statements();
    for (const auto& operations :
         {std::vector{load("a"), load("b")}, std::vector{save("a", 1), save("b", 2)}}) {
        const auto made = on.build(operations);
        CHECK(made.what->name.empty());
        REQUIRE(made.before);
        CHECK(made.before->what.sql.find("set_config('enable_seqscan', 'off', true)") != std::string::npos);
    }
    CHECK_FALSE(on.build({save("a"), save("b")}).before); // there is nothing to be told
}

TEST_CASE("the table's size is asked for along with an operation, not with each", "[statements]") {
    const auto on = statements();
    const auto first = on.build({load("a")});
    REQUIRE(first.before);
    CHECK(first.before->what.sql == R"(SELECT pg_relation_size(E'"agent_states"'::regclass))");
    CHECK_FALSE(on.build({load("a")}).before);
}

TEST_CASE("a table's name is quoted in the question for its size", "[statements]") {
    const table_statements on(pgstate::settings::parse_table_name(R"("it's".agent_states)"));
    CHECK(on.build({load("a")}).before->what.sql ==
          R"(SELECT pg_relation_size(E'"it''s"."agent_states"'::regclass))");
}

TEST_CASE("session settings run first in each transaction, together with whatever else does",
          "[statements]") {
    const table_statements on(pgstate::settings::parse_table_name("agent_states"),
                              {{"app.tenant_id", "it's acme"}, {"enable_seqscan", "on"}});
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
    check(on.build({load("a")}), size, ""); // once a second
    check(on.build({load("a")}), "-1::bigint", "");
    check(on.build({save("a")}), "-1::bigint", "");
    check(on.build({load("a"), load("b")}), size,
          ", set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), "
          "set_config('enable_mergejoin', 'off', true)");
}

TEST_CASE("a large document's row is claimed before it is saved", "[statements]") {
    const auto on = statements();
    CHECK(on.build({save("a")}).claim == nullptr);
    CHECK(on.build({large("a", 7)}).claim == nullptr); // it makes no row
    const auto one = on.build({large("a")});
    REQUIRE(one.claim);
    CHECK(one.claim_values.size() == one.claim->parameters.size());
    CHECK(one.claim_values.value(1) == "a");
    CHECK(one.what->sql != on.build({save("a")}).what->sql);
    const auto many = on.build({large("a"), save("b")});
    REQUIRE(many.claim);
    CHECK(many.claim_values.size() == many.claim->parameters.size());
    CHECK(count_of(many.claim_values.value(1)) == 2);
}

TEST_CASE("a row that was made too late is claimed when it is saved again", "[statements]") {
    const auto on = statements();
    const std::vector both{save("a"), save("b")};
    CHECK_FALSE(on.adapt(both, refusal_of("22P02", "invalid input syntax for type bigint: \"a number\"")));
    CHECK_FALSE(on.adapt({load("a")}, made_too_late));
    CHECK_FALSE(on.adapt({save("a", 7)}, made_too_late));
    const auto touch = operation_ptr(new postgres::change_operation(pgstate::telemetry::operation_id::touch,
                                                                 "agent", "a", {}, {}, ignored, executor()));
    CHECK_FALSE(on.adapt({touch}, made_too_late));
    CHECK(on.build(both).claim == nullptr);
    CHECK(on.adapt(both, made_too_late));
    CHECK(on.build(both).claim);
    CHECK(on.build({both[1]}).claim);
    CHECK(on.build({save("c")}).claim == nullptr);
}

TEST_CASE("where a table takes no claims, rows are made without", "[statements]") {
    const auto on = statements();
    auto refusal = refusal_of("23514", "new row violates check constraint");
    CHECK_FALSE(on.adapt({save("a")}, refusal));
    CHECK_FALSE(on.adapt({large("a")}, refusal)); // it is that of the document
    refusal.steps_left = 1;
    CHECK_FALSE(on.adapt({save("a")}, refusal)); // nothing was claimed
    auto lost = refusal_of("57P01", "terminating connection");
    lost.steps_left = 1;
    CHECK_FALSE(on.adapt({large("a")}, lost));
    CHECK(on.build({large("a")}).claim);
    CHECK(on.adapt({large("a")}, refusal));
    const auto made = on.build({large("a")});
    CHECK(made.claim == nullptr);
    CHECK(made.what->sql.find("clock_timestamp") == std::string::npos); // or it would be made too late
}

TEST_CASE("on Citus no statement reads the clock where it returns what it wrote", "[statements]") {
    const auto on = statements();
    on.found_citus();
    const auto erase = [](std::optional<std::int64_t> version) {
        return operation_ptr(new postgres::erase_operation("agent", "a", version, ignored, executor()));
    };
    for (const auto& operations :
         {std::vector{save("a")}, std::vector{save("a"), save("b")}, std::vector{save("a", 0)},
          std::vector{large("a")}, std::vector{erase({})}, std::vector{erase(7)}}) {
        const auto made = on.build(operations);
        CHECK(made.claim == nullptr);
        CHECK(made.what->sql.find("clock_timestamp") == std::string::npos);
    }
}

TEST_CASE("a refusal does not tell the values of session settings", "[statements]") {
    using pgstate::wire::server_error;
    const table_statements on(pgstate::settings::parse_table_name("agent_states"),
                              {{"app.tenant_id", "acme"}, {"role", "manager"}, {"app.nothing", ""}});
    const auto censored = [&](server_error refusal, bool first) {
        on.censor(refusal, first);
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
    const auto without = statements();
    server_error untouched{"22023", "as it is"};
    without.censor(untouched, true);
    CHECK(untouched.message == "as it is");
}

TEST_CASE("each statement that writes has a name, which grows and which its operations know",
          "[statements]") {
    const auto on = statements();
    const auto first = save("a");
    const auto second = save("b");
    on.build({first, second});
    CHECK(first->write_name > 0);
    CHECK(first->write_name == second->write_name);
    const auto erased = operation_ptr(new postgres::erase_operation("agent", "a", {}, ignored, executor()));
    on.build({erased});
    CHECK(sql::write_names::earlier(first->write_name, erased->write_name));
    const auto loaded = load("a");
    on.build({loaded});
    CHECK(loaded->write_name == 0);
    const auto another = statements();
    const auto theirs = save("a");
    another.build({theirs});
    CHECK_FALSE(sql::write_names::earlier(first->write_name, theirs->write_name));
    CHECK_FALSE(sql::write_names::earlier(theirs->write_name, first->write_name));
}
