#include "sql/message_rows.hpp"

#include "pgstate/agent_state.hpp"
#include "sql/checkpoint_sql.hpp"
#include "sql/concat.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace pgstate::sql {
namespace {

std::string parameter(std::size_t number) {
    return "$" + std::to_string(number);
}

struct input_type {
    std::string_view name;
    wire::type_oid one;
    wire::type_oid many;
};

input_type type_of(char column) {
    using enum wire::type_oid;
    switch (column) {
    case 'a':
    case 's':
    case 'd': return {"text", text, text_array};
    case 'e': return {"uuid", uuid, uuid_array};
    default: return {"bigint", int8, int8_array};
    }
}

// Columns of the written row `t`; the parts behind the write use their names.
constexpr std::string_view of_written =
    "t.agent_id, t.session_id, t.version, t.created_at, t.updated_at, t.expires_at, t.epoch, t.messages";
/// The same of a save, of which a checkpoint can be made.
constexpr std::string_view of_saved =
    "t.agent_id, t.session_id, t.version, t.created_at, t.updated_at, t.expires_at, t.epoch, t.messages, t.state";

// No row has the lowest two versions: they count up from 1.
constexpr std::int64_t any_version = std::numeric_limits<std::int64_t>::min();
constexpr std::string_view in_version = "(u.v = '-9223372036854775808' OR t.version = u.v)";

/// The messages of the operation in `from`, with their numbers from 1.
std::string messages_of(std::string_view from, std::string_view all) {
    return concat({"(SELECT x.d::jsonb AS j, x.q FROM unnest((", all, ")[", from, ".b:", from, ".b + ", from,
                   ".c - 1]) WITH ORDINALITY AS x(d, q) OFFSET 0) AS h"});
}

} // namespace

/// The beginning of a statement, and the names of what comes behind the input.
struct message_rows::with_input {
    std::string_view columns{};
    std::string sql{}; ///< "WITH u AS (...)"
    types parameters{};
    std::string messages{}; ///< the parameter, with its type
    std::string name{};     ///< the parameter, with its type; empty: of a nameless writer
    std::string epoch{};    ///< of a new history
    std::string names{};    ///< the last columns of a source: the name, and a new history of `u.c` messages
};

message_rows::with_input message_rows::begin(std::string_view columns) const {
    const bool many = of_ == input::many;
    with_input made{.columns = columns};
    std::string values;
    std::string names;
    std::size_t number = 0;
    for (const char column : columns) {
        const auto type = type_of(column);
        made.parameters.push_back(many ? type.many : type.one);
        values.append(values.empty() ? "" : ", ").append(parameter(++number)).append("::").append(type.name);
        if (many)
            values.append("[]");
        else
            values.append(" AS ").append(1, column);
        names.append(1, column).append(", ");
    }
    made.sql = many ? concat({"WITH u AS MATERIALIZED (SELECT * FROM unnest(", values,
                              ") WITH ORDINALITY AS u(", names, "n))"})
                    : concat({"WITH u AS NOT MATERIALIZED (SELECT ", values, ", 1::bigint AS n)"});
    made.messages = parameter(++number) + "::text[]";
    made.parameters.push_back(wire::type_oid::text_array);
    if (table_.named()) {
        made.name = made.epoch = parameter(++number) + "::uuid";
        made.parameters.push_back(wire::type_oid::uuid);
    } else {
        made.epoch = "gen_random_uuid()";
    }
    made.names =
        concat({made.name.empty() ? "" : ", ", made.name, table_sql::epoch_columns(made.epoch, "u.c")});
    return made;
}

std::int64_t message_rows::version_condition(std::optional<std::int64_t> version) noexcept {
    return version ? std::max(*version, any_version + 1) : any_version;
}

std::string message_rows::written_columns() {
    return "pg_snapshot_xmin(pg_current_snapshot()), k.agent_id, k.session_id, k.version, k.created_at,"
           " k.updated_at, k.expires_at, k.epoch";
}

std::string message_rows::id_of(std::string_view j) {
    return concat({"CASE WHEN jsonb_typeof(", j, " -> 'id') = 'string' AND octet_length(convert_to(", j,
                   " ->> 'id', 'UTF8')) BETWEEN 1 AND ", std::to_string(max_message_id_bytes), " THEN ", j,
                   " ->> 'id' END"});
}

std::string message_rows::insert(std::string_view source) const {
    return concat({"INSERT INTO ", table_.where().messages,
                   " (agent_id, session_id, epoch, seq, id, message) ", source});
}

/// The end of a statement whose part `w` writes the states.
/// \param paired  "FROM w" with what gives `b`, `c`, `n` and `known`, the number of messages that come before
std::string message_rows::written(const with_input& of, kind what, std::string_view change,
                                  std::string_view paired) const {
    // A trigger can change a key, so that a written row belongs to no operation. Its message gets NULL as its number, and the
    // column refuses that: the statement fails as a whole.
    const auto messages =
        concat({"SELECT k.agent_id, k.session_id, k.epoch, k.known + h.q - 1, ", id_of("h.j"),
                ", h.j FROM k LEFT JOIN LATERAL ", messages_of("k", of.messages),
                " ON true WHERE h.q IS NOT NULL OR k.n IS NULL"});
    return concat({of.sql, ", w AS (", change, "), k AS (SELECT w.*, ", paired, "), p AS (", insert(messages),
                   ")", what == kind::save ? checkpoint_sql::of_saves(table_) : "", " SELECT ", answer_,
                   ", k.n FROM k"});
}

namespace {
constexpr std::string_view by_key = "FROM w LEFT JOIN u ON u.a = w.agent_id AND u.s = w.session_id";
} // namespace

message_rows::text message_rows::append() const {
    auto of = begin("aslbcv");
    const auto change =
        table_.change("messages = t.messages + u.c", table_sql::expiry_or_kept("u.l"), " FROM u",
                      concat({table_sql::by_input, " AND t.epoch IS NOT NULL AND ", in_version}), of.name,
                      concat({of_written, ", u.b, u.c, u.n"}));
    return {written(of, kind::change, change, "w.messages - w.c AS known FROM w"), of.columns,
            std::move(of.parameters)};
}

message_rows::text message_rows::append_once() const {
    auto of = begin("aslbcv");
    const auto& all = table_.where().messages;
    const auto change = table_.change(
        "messages = t.messages + g.c", table_sql::expiry_or_kept("g.l"),
        " FROM (SELECT DISTINCT u.a, u.s, u.l, u.n, f.c FROM u JOIN fresh AS f ON f.n = u.n) AS g",
        "t.agent_id = g.a AND t.session_id = g.s AND t.epoch IS NOT NULL", of.name,
        concat({of_written, ", g.c, g.n"}));
    return {
        concat({of.sql,
                ", seen AS MATERIALIZED (SELECT u.a, u.s, u.n, t.epoch, h.q, h.j, ",
                id_of("h.j"),
                " AS i FROM u JOIN ",
                table_.table(),
                " AS t ON ",
                table_sql::by_input,
                " AND t.epoch IS NOT NULL AND ",
                table_sql::alive,
                " AND ",
                in_version,
                " CROSS JOIN LATERAL ",
                messages_of("u", of.messages),
                "), fresh AS MATERIALIZED (SELECT s.n, s.i, s.j, row_number() OVER (PARTITION BY s.n"
                " ORDER BY s.q) AS q, count(*) OVER (PARTITION BY s.n) AS c FROM seen AS s WHERE s.i IS NULL"
                " OR NOT EXISTS (SELECT FROM ",
                all,
                " AS m WHERE m.agent_id = s.a AND m.session_id = s.s AND m.epoch = s.epoch AND m.id = s.i)),"
                " w AS (",
                change,
                "), p AS (",
                insert("SELECT w.agent_id, w.session_id, w.epoch, w.messages - w.c + f.q - 1, f.i, f.j"
                       " FROM w JOIN fresh AS f ON f.n = w.n"),
                ") SELECT ",
                answer_,
                ", k.n FROM w AS k"}),
        of.columns, std::move(of.parameters)};
}

message_rows::text message_rows::append_or_create() const {
    auto of = begin("aslbcmd");
    const auto source = concat({"SELECT u.a, u.s, u.d::jsonb, now(), now(), ", table_sql::expiry_in("u.m"),
                                of.names, " FROM u ORDER BY ", table_sql::in_order_of_input});
    // DO UPDATE cannot name `u`: it looks up the ttl for an existing row by the key.
    const auto ttl = "(SELECT u.l FROM u WHERE u.a = EXCLUDED.agent_id AND u.s = EXCLUDED.session_id)";
    const auto change = table_.insert_or_change(source, "t.state", table_sql::expiry_or_kept(ttl),
                                                "t.epoch IS NOT NULL", of_written, table_sql::history::grown);
    return {written(of, kind::change, change, concat({"w.messages - u.c AS known, u.b, u.c, u.n ", by_key})),
            of.columns, std::move(of.parameters)};
}

message_rows::text message_rows::save(table_sql::existing what) const {
    auto of = begin("aslbcd");
    const auto source = concat({"SELECT u.a, u.s, u.d::jsonb, now(), now(), ", table_sql::expiry_in("u.l"),
                                of.names, " FROM u ORDER BY ", table_sql::in_order_of_input});
    return {written(of, kind::save, table_.insert(source, what, of_saved),
                    concat({"0 AS known, u.b, u.c, u.n ", by_key})),
            of.columns, std::move(of.parameters)};
}

message_rows::text message_rows::replace() const {
    auto of = begin("aslbcvd");
    const auto change = table_.replace("u.d::jsonb", table_sql::expiry_or_kept("u.l"), " FROM u",
                                       concat({table_sql::by_input, " AND t.version = u.v"}), of.name,
                                       concat({of_saved, ", u.b, u.c, u.n"}),
                                       concat({", epoch = ", of.epoch, ", messages = u.c"}));
    return {written(of, kind::save, change, "0 AS known FROM w"), of.columns, std::move(of.parameters)};
}

message_rows::text message_rows::extend() const {
    auto of = begin("aslbcvdke");
    const auto change = table_.replace(
        "u.d::jsonb", table_sql::expiry_or_kept("u.l"), " FROM u",
        concat({table_sql::by_input, " AND t.epoch IS NOT NULL AND t.messages = u.k AND ", in_version,
                " AND (u.e = '00000000-0000-0000-0000-000000000000' OR t.epoch = u.e)"}),
        of.name, concat({of_saved, ", u.b, u.c, u.n"}), ", messages = u.k + u.c");
    return {written(of, kind::save, change, "w.messages - w.c AS known FROM w"), of.columns,
            std::move(of.parameters)};
}

message_rows::text message_rows::lock() const {
    auto of = begin("as");
    of.parameters.resize(2);
    return {concat({of.sql, " SELECT 1 FROM u JOIN ", table_.table(), " AS t ON ", table_sql::by_input,
                    " ORDER BY ", table_sql::in_order_of_input, " FOR NO KEY UPDATE OF t"}),
            of.columns, std::move(of.parameters)};
}

message_rows::text message_rows::lock_or_create() const {
    auto of = begin("asmd");
    of.parameters.erase(of.parameters.begin() + 4); // no messages
    const auto source = concat({"SELECT u.a, u.s, u.d::jsonb, now(), now(), ", table_sql::expiry_in("u.m"),
                                ", $5::uuid", table_sql::epoch_columns("$5::uuid", "0"), " FROM u ORDER BY ",
                                table_sql::in_order_of_input});
    return {concat({of.sql, " ", table_.insert(source, table_sql::existing::unchanged, "1")}), of.columns,
            std::move(of.parameters)};
}

} // namespace pgstate::sql
