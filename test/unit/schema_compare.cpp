#include "config/resolved.hpp"
#include "schema/shape.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace pgstate;
using schema::compare;
using schema::table_shape;

namespace {

settings::resolved_config resolved(schema_config schema = {}, sweep_config sweep = {}) {
    config input{.connection_string = "host=nowhere"};
    input.schema = schema;
    input.sweep = sweep;
    return settings::resolve(input);
}

/// A column as `wanted` has it.
schema::column_shape column_of(const schema::column_definition& wanted) {
    return {.name = std::string(wanted.name),
            .oid = static_cast<unsigned>(wanted.oid),
            .type = std::string(wanted.type),
            .not_null = wanted.not_null,
            .identity = wanted.identity};
}

table_shape go_made() {
    table_shape shape;
    shape.schema = "public";
    shape.schema_exists = shape.exists = true;
    for (const auto& each : schema::columns())
        if (each.since == 0) shape.columns.push_back(column_of(each));
    shape.indexes = {{"agent_states_pkey", "btree", {"agent_id", "session_id"}, true},
                     {"idx_agent_states_agent_id", "btree", {"agent_id"}},
                     {"idx_agent_states_updated_at", "btree", {"updated_at"}}};
    shape.taken_index_names = {"idx_agent_states_agent_id", "idx_agent_states_updated_at"};
    return shape;
}

table_shape current() {
    auto shape = go_made();
    for (const auto& each : schema::columns())
        if (each.since != 0) shape.columns.push_back(column_of(each));
    shape.recorded = 3;
    return shape;
}

schema::column_shape& column(table_shape& shape, std::string_view name) {
    return *std::ranges::find(shape.columns, name, &schema::column_shape::name);
}

void drop_column(table_shape& shape, std::string_view name) {
    std::erase_if(shape.columns, [&](const auto& c) { return c.name == name; });
}

using rows = schema::index_shape::rows;
using texts = std::vector<std::string>;

/// A change to the current shape, and how it is refused.
template <class Change>
texts refusals(Change change) {
    auto shape = current();
    change(shape);
    const auto difference = compare(shape, resolved());
    CHECK(!difference.current());
    return difference.refusals;
}

} // namespace

TEST_CASE("a current table needs nothing", "[schema]") {
    CHECK(compare(current(), resolved()).current());
    CHECK(compare(current(), resolved({.indexes = index_mode::lean})).current());
}

TEST_CASE("a table without the record, or with a newer one, is known by its columns", "[schema]") {
    auto shape = current();
    shape.recorded = 0;
    CHECK(compare(shape, resolved()).current());
    shape.recorded = 99;
    CHECK(compare(shape, resolved()).current());
    drop_column(shape, "version");
    CHECK(compare(shape, resolved()).plan.record == 99);
}

TEST_CASE("a missing table is made with everything", "[schema]") {
    table_shape shape;
    shape.schema = "public";
    shape.schema_exists = true;
    const auto difference = compare(shape, resolved({.jsonb_index = true}));
    CHECK(difference.refusals.empty());
    CHECK(difference.plan.create_table);
    CHECK(difference.plan.migrations.size() == schema::migrations().size());
    CHECK(difference.plan.indexes.size() == 3);
    CHECK(difference.plan.record == schema::migrations().back().number);
    CHECK(difference.missing == texts{"it does not exist"});
}

TEST_CASE("a Go-made table needs the migrations and nothing else", "[schema]") {
    const auto difference = compare(go_made(), resolved());
    CHECK(difference.refusals.empty());
    CHECK(!difference.plan.create_table);
    REQUIRE(difference.plan.migrations.size() == 4);
    CHECK(difference.plan.migrations.front().number == 1);
    CHECK(difference.plan.migrations.back().number == 4);
    CHECK(difference.plan.indexes.empty());
    CHECK(difference.missing == texts{"column \"version\" is missing", "column \"expires_at\" is missing",
                                      "column \"write_name\" is missing",
                                      "column \"write_version\" is missing"});
}

TEST_CASE("a table of an older pgstate needs the later migrations only", "[schema]") {
    auto shape = current();
    drop_column(shape, "expires_at");
    drop_column(shape, "write_name");
    drop_column(shape, "write_version");
    shape.recorded = 1;
    const auto difference = compare(shape, resolved());
    CHECK(difference.refusals.empty());
    REQUIRE(difference.plan.migrations.size() == 3);
    CHECK(difference.plan.migrations.front().number == 2);
    CHECK(difference.plan.migrations.back().number == 4);
    CHECK(difference.plan.record == 4);
}

TEST_CASE("missing indexes are added, unless another serves or lean wants none", "[schema]") {
    auto shape = current();
    shape.indexes.resize(1);
    shape.taken_index_names.clear();
    auto difference = compare(shape, resolved());
    CHECK(difference.plan.indexes.size() == 2);
    CHECK(difference.plan.migrations.empty());
    CHECK(difference.missing.front() == "index \"idx_agent_states_agent_id\" on (agent_id) is missing");
    CHECK(compare(shape, resolved({.indexes = index_mode::lean})).current());

    shape.indexes.push_back({.name = "mine", .method = "btree", .columns = {"agent_id"}});
    shape.indexes.push_back(
        {.name = "unfinished", .method = "btree", .columns = {"updated_at"}, .usable = false});
    shape.indexes.push_back(
        {.name = "partial", .method = "btree", .columns = {"updated_at"}, .of = rows::not_null});
    shape.indexes.push_back({.name = "hash", .method = "hash", .columns = {"updated_at"}});
    shape.indexes.push_back({.name = "wide", .method = "btree", .columns = {"updated_at", "agent_id"}});
    difference = compare(shape, resolved());
    REQUIRE(difference.plan.indexes.size() == 1);
    CHECK(difference.plan.indexes.front().suffix == "updated_at");
}

TEST_CASE("a partial index serves where the same one is wanted, and one over all rows as well", "[schema]") {
    using std::chrono_literals::operator""s;
    const auto sweeping = resolved({}, {.period = 60s});
    auto shape = current();
    auto difference = compare(shape, sweeping);
    REQUIRE(difference.plan.indexes.size() == 1);
    CHECK(difference.plan.indexes.front().suffix == "expires_at");
    CHECK(difference.missing ==
          texts{"index \"idx_agent_states_expires_at\" on (expires_at) WHERE (expires_at IS "
                "NOT NULL) is missing"});
    CHECK(compare(shape, resolved({.indexes = index_mode::lean}, {.period = 60s})).current());

    const auto with = [&](rows of) {
        auto have = current();
        have.indexes.push_back({"mine", "btree", {"expires_at"}, false, of});
        return have;
    };
    CHECK(compare(with(rows::not_null), sweeping).current());
    CHECK(compare(with(rows::all), sweeping).current());
    CHECK(!compare(with(rows::others), sweeping).current());

    shape.taken_index_names.push_back("idx_agent_states_expires_at");
    CHECK(
        compare(shape, sweeping).refusals ==
        texts{"the name \"idx_agent_states_expires_at\" is taken by something else than a complete index on "
              "(expires_at) WHERE (expires_at IS NOT NULL); rename or drop that"});
}

TEST_CASE("an index name that something else bears is a refusal", "[schema]") {
    CHECK(refusals([](auto& s) { s.indexes.erase(s.indexes.begin() + 1); }) ==
          texts{"the name \"idx_agent_states_agent_id\" is taken by something else than a complete index on "
                "(agent_id); rename or drop that"});
}

TEST_CASE("what bears the table's name must be a table", "[schema]") {
    const auto refused_as = [](char kind) { return refusals([&](auto& s) { s.kind = kind; }); };
    CHECK(refused_as('v') == texts{"it is a view, not a table"});
    CHECK(refused_as('m') == texts{"it is a materialized view, not a table"});
    CHECK(refused_as('f') == texts{"it is a foreign table, not a table of this server"});
    CHECK(refused_as('S') == texts{"it is a sequence, not a table"});
    CHECK(refused_as('i') == texts{"it is an index, not a table"});
    CHECK(refused_as('c') == texts{"it is not a table"});
    CHECK(refusals([](auto& s) { s.temporary = true; }) == texts{"it is a temporary table"});

    auto partitioned = current();
    partitioned.kind = 'p';
    CHECK(compare(partitioned, resolved()).current());
}

TEST_CASE("each wrong column is named", "[schema]") {
    for (const std::string name : {"agent_id", "session_id", "state", "created_at", "updated_at"})
        CHECK(refusals([&](auto& s) { drop_column(s, name); }).front() ==
              "column \"" + name + "\" is missing");

    struct wrong {
        std::string name;
        std::string how;
        void (*change)(schema::column_shape&);
    };
    for (const auto& one : {
             wrong{"state", "is text, not jsonb", [](auto& c) { c.oid = 25, c.type = "text"; }},
             wrong{"agent_id", "is character varying(64), not text",
                   [](auto& c) { c.oid = 1043, c.modified = true, c.type = "character varying(64)"; }},
             wrong{"updated_at", "is timestamp without time zone, not timestamp with time zone",
                   [](auto& c) { c.oid = 1114, c.type = "timestamp without time zone"; }},
             wrong{"updated_at", "is timestamp(0) with time zone, not timestamp with time zone",
                   [](auto& c) { c.modified = true, c.type = "timestamp(0) with time zone"; }},
             wrong{"state", "is jsonb of another schema, not jsonb", [](auto& c) { c.oid = 16'400; }},
             wrong{"version", "is integer, not bigint", [](auto& c) { c.oid = 23, c.type = "integer"; }},
             wrong{"version", "allows NULL", [](auto& c) { c.not_null = false; }},
             wrong{"version", "is not GENERATED BY DEFAULT AS IDENTITY", [](auto& c) { c.identity = false; }},
             wrong{"version", "is a generated column", [](auto& c) { c.generated = true; }},
             wrong{"write_name", "is bigint, not uuid", [](auto& c) { c.oid = 20, c.type = "bigint"; }},
             wrong{"write_version", "is uuid, not bigint", [](auto& c) { c.oid = 2950, c.type = "uuid"; }},
             wrong{"state", "allows NULL", [](auto& c) { c.not_null = false; }},
             wrong{"updated_at", "is a generated column", [](auto& c) { c.generated = true; }},
         }) {
        const auto refused = refusals([&](auto& s) { one.change(column(s, one.name)); });
        CHECK(refused == texts{"column \"" + one.name + "\" " + one.how});
    }
    CHECK(refusals([](auto& s) { column(s, "agent_id").deterministic_collation = false; }).size() == 1);
}

TEST_CASE("time columns may be NOT NULL", "[schema]") {
    auto shape = current();
    column(shape, "created_at").not_null = column(shape, "updated_at").not_null = true;
    CHECK(compare(shape, resolved()).current());
}

TEST_CASE("other columns must not stand in the way of a save", "[schema]") {
    auto shape = current();
    shape.columns.push_back({.name = "note", .type = "text"});
    shape.columns.push_back({.name = "tenant", .type = "integer", .not_null = true, .has_default = true});
    CHECK(compare(shape, resolved()).current());
    CHECK(refusals([](auto& s) {
              s.columns.push_back({.name = "tenant", .type = "integer", .not_null = true});
          }) == texts{"column \"tenant\" is NOT NULL without a default, so that no state could be saved"});
}

TEST_CASE("the primary key must be the two ids in this order", "[schema]") {
    const auto with_key = [](texts keys) { return refusals([&](auto& s) { s.indexes[0].columns = keys; }); };
    CHECK(with_key({"agent_id"}) == texts{"primary key is (agent_id), not (agent_id, session_id)"});
    CHECK(with_key({"session_id", "agent_id"}) ==
          texts{"primary key is (session_id, agent_id), not (agent_id, session_id)"});
    CHECK(refusals([](auto& s) { s.indexes[0].primary = false; }) ==
          texts{"there is no primary key; it must be (agent_id, session_id)"});
    CHECK(refusals([](auto& s) { s.indexes[0].immediate = false; }) ==
          texts{"primary key is deferrable, which ON CONFLICT cannot use"});
}

TEST_CASE("a list of differences stays short", "[schema]") {
    CHECK(schema::list_differences({"a"}) == "a");
    CHECK(schema::list_differences({"a", "b", "c"}) == "a; b; c");
    CHECK(schema::list_differences({"a", "b", "c", "d", "e"}) == "a; b; c; and 2 more");
}
