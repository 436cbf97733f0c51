#include "sql/checkpoint_sql.hpp"

#include "sql/concat.hpp"
#include "sql/history_sql.hpp"
#include "sql/message_rows.hpp"
#include "sql/prepared.hpp"

#include <string_view>
#include <utility>

namespace pgstate::sql {

using enum wire::type_oid;

namespace {

std::string state_of_key() {
    return concat({table_sql::by_key, " AND ", table_sql::alive});
}

/// The checkpoints `c` of the state in row `t`, whose key is $1 and $2, in its present life.
constexpr std::string_view of_state =
    "c.agent_id = $1 AND c.session_id = $2 AND c.state_created_at IS NOT DISTINCT FROM t.created_at";

wire::statement planned(std::string_view verb, std::string sql, types parameters) {
    auto made = planned_anew(std::move(sql), std::move(parameters));
    made.verb = verb;
    return made;
}

/// The columns of a write's answer, of `w`, whose statement it is a part of.
constexpr std::string_view columns_of_w =
    "pg_snapshot_xmin(pg_current_snapshot()), w.agent_id, w.session_id, w.version, w.created_at, w.updated_at,"
    " w.expires_at";
constexpr std::string_view returned_to_w =
    "t.agent_id, t.session_id, t.version, t.created_at, t.updated_at, t.expires_at, t.epoch";

/// Rows of messages, copied to the state `w`: those below `messages` of `epoch`.
std::string copy_messages(const target_table& table, std::string_view from, std::string_view session,
                          std::string_view epoch, std::string_view messages) {
    return message_rows(table.sql(), message_rows::input::one)
        .insert(
            concat({"SELECT w.agent_id, w.session_id, w.epoch, s.seq, s.id, s.message FROM ", from, " JOIN ",
                    table.sql().where().messages, " AS s ON s.agent_id = $1 AND s.session_id = ", session,
                    " AND s.epoch = ", epoch, " AND s.seq < ", messages}));
}

} // namespace

// The row stays locked until the checkpoint is there, so that nobody erases it before. Where messages may be in rows, nobody
// replaces its history before either: whoever did would delete the messages that the checkpoint names. A transaction that
// saw the table before the checkpoint was there then fails to write the row, as the row has been written.
wire::statement checkpoint_sql::make(const target_table& table) {
    const auto& where = table.sql().where();
    const auto columns =
        concat({"t.agent_id, t.session_id, t.version, $3::text, now(), ", history_sql::count(where),
                ", t.state, t.created_at, t.updated_at", where.may_be_in_rows() ? ", t.epoch" : ""});
    const auto state =
        where.may_be_in_rows()
            ? concat({"SELECT ", columns, " FROM s AS t"})
            : table.sql().select(columns, "", concat({" WHERE ", state_of_key(), " FOR KEY SHARE"}));
    const auto lock = concat({"WITH s AS (UPDATE ", table.sql().table(),
                              " AS t SET messages = t.messages WHERE ", state_of_key(),
                              " RETURNING t.agent_id, t.session_id, t.version, t.state, t.created_at,"
                              " t.updated_at, t.epoch, t.messages) "});
    return planned(
        "INSERT",
        concat({where.may_be_in_rows() ? std::string_view(lock) : "", "INSERT INTO ", table.checkpoints(),
                " AS c (agent_id, session_id, version, label, created_at, messages, state,"
                " state_created_at, state_updated_at",
                where.may_be_in_rows() ? ", epoch) " : ") ", state,
                " ON CONFLICT (agent_id, session_id, version) DO UPDATE SET"
                " label = coalesce(nullif(EXCLUDED.label, ''), c.label), state = EXCLUDED.state,"
                " messages = EXCLUDED.messages, state_created_at = EXCLUDED.state_created_at,"
                " state_updated_at = EXCLUDED.state_updated_at",
                where.may_be_in_rows() ? ", epoch = EXCLUDED.epoch" : "",
                " RETURNING pg_snapshot_xmin(pg_current_snapshot()), c.version, c.label, c.created_at,"
                " c.messages"}),
        {text, text, text});
}

wire::statement checkpoint_sql::list(const target_table& table) {
    return planned("SELECT",
                   table.sql().select("c.version, c.label, c.created_at, c.messages",
                                      concat({table.checkpoints(), " AS c, "}),
                                      concat({" WHERE ", state_of_key(), " AND ", of_state,
                                              " AND ($4::bigint IS NULL OR c.version < $4)"
                                              " ORDER BY c.version DESC LIMIT $3"})),
                   {text, text, int8, int8});
}

namespace {

/// Joined to `t`: its state `x` at the version $3, where that is the present one or has a checkpoint; NULL: the present one.
std::string at_version(const target_table& table) {
    const bool rows = table.sql().where().may_be_in_rows();
    return concat({"LATERAL (SELECT t.version, t.state, t.updated_at", rows ? ", t.epoch, t.messages" : "",
                   " WHERE $3::bigint IS NULL OR t.version = $3"
                   " UNION ALL SELECT c.version, c.state, c.state_updated_at",
                   rows ? ", c.epoch, c.messages" : "", " FROM ", table.checkpoints(), " AS c WHERE ",
                   of_state, " AND c.version = $3 AND t.version <> $3) AS x"});
}

} // namespace

wire::statement checkpoint_sql::load_at(const target_table& table) {
    const auto& where = table.sql().where();
    auto columns =
        std::string("1::bigint, t.version, x.version, x.state, t.created_at, x.updated_at, t.expires_at");
    if (where.may_be_in_rows())
        columns += ", 0::bigint, coalesce(x.messages, 0), " +
                   history_sql::rows_columns(where, "x", "", "x.messages");
    return planned(
        "SELECT",
        table.sql().select(columns, "",
                           concat({" LEFT JOIN ", at_version(table), " ON true WHERE ", state_of_key()})),
        {text, text, int8});
}

/// Messages in rows are copied under a new epoch: in the old one the numbers behind the checkpoint are taken.
wire::statement checkpoint_sql::restore(const target_table& table, const std::string& returning) {
    const auto& where = table.sql().where();
    const auto at = at_version(table);
    const auto condition =
        concat({table_sql::by_key,
                " AND ($4::bigint IS NULL OR t.version = $4) AND EXISTS (SELECT x.state FROM ", at, ")"});
    const types given{text, text, int8, int8, int8, uuid};
    if (!where.may_be_in_rows())
        return planned("UPDATE",
                       table.sql().replace(concat({"(SELECT x.state FROM ", at, ")"}),
                                           table_sql::expiry_or_kept("$5"), "", condition, "$6", returning),
                       given);
    const auto then = concat(
        {"(state, epoch, messages) = (SELECT x.state, CASE WHEN x.version = t.version OR x.epoch IS NULL"
         " THEN x.epoch ELSE $6::uuid END, CASE WHEN x.epoch IS NOT NULL THEN x.messages END FROM ",
         at, ")"});
    const auto from = concat({"w JOIN ", table.checkpoints(),
                              " AS c ON c.agent_id = $1 AND c.session_id = $2 AND c.version = $3"
                              " AND c.state_created_at IS NOT DISTINCT FROM w.created_at AND w.epoch = $6"});
    return planned(
        "UPDATE",
        concat({"WITH w AS (",
                table.sql().change(then, table_sql::expiry_or_kept("$5"), "", condition, "$6", returned_to_w),
                "), p AS (", copy_messages(table, from, "$2", "c.epoch", "c.messages"), ") SELECT ",
                columns_of_w, " FROM w"}),
        given);
}

wire::statement checkpoint_sql::restore_probe(const target_table& table) {
    return planned(
        "SELECT",
        table.sql().select(concat({"1::bigint, t.version, EXISTS (SELECT FROM ", at_version(table), ")"}), "",
                           " WHERE " + state_of_key()),
        {text, text, int8});
}

namespace {

/// The state that a fork copies: of the key $1 and $2, at the version $3.
std::string forked(const target_table& table) {
    return table.sql().select(table.sql().where().may_be_in_rows() ? "x.state, x.epoch, x.messages"
                                                                   : "x.state",
                              "", concat({" CROSS JOIN ", at_version(table), " WHERE ", state_of_key()}));
}

} // namespace

/// Into the session $4.
wire::statement checkpoint_sql::fork(const target_table& table, const std::string& returning) {
    const bool rows = table.sql().where().may_be_in_rows();
    const auto from = rows ? std::string("f") : concat({"(", forked(table), ") AS f"});
    const auto source = concat(
        {"SELECT $1::text, $4::text, jsonb_set(f.state, '{session_id}', to_jsonb($4::text)), now(), now(), ",
         table_sql::expiry_in("$5::bigint"), ", $6::uuid",
         rows
             ? ", CASE WHEN f.epoch IS NOT NULL THEN $6::uuid END, CASE WHEN f.epoch IS NOT NULL THEN f.messages END"
             : "",
         " FROM ", from});
    const types given{text, text, int8, text, int8, uuid};
    const auto insert = table.sql().insert(source, table_sql::existing::unchanged,
                                           rows ? std::string(returned_to_w) : returning);
    if (!rows) return planned("INSERT", insert, given);
    return planned("INSERT",
                   concat({"WITH f AS MATERIALIZED (", forked(table), "), w AS (", insert, "), p AS (",
                           copy_messages(table, "w CROSS JOIN f", "$2", "f.epoch", "f.messages"), ") SELECT ",
                           columns_of_w, " FROM w"}),
                   given);
}

wire::statement checkpoint_sql::fork_probe(const target_table& table) {
    const auto target = table.sql().select(
        "t.version", "", concat({" WHERE t.agent_id = $1 AND t.session_id = $4 AND ", table_sql::alive}));
    return planned(
        "SELECT",
        concat({"SELECT 1::bigint, coalesce((", target, "), 0), EXISTS (",
                table.sql().select("1", "", " WHERE " + state_of_key()), "), EXISTS (", forked(table), ")"}),
        {text, text, int8, text});
}

/// Those of an earlier life go too, and are not counted.
wire::statement checkpoint_sql::prune(const target_table& table) {
    const auto born = table.sql().select("t.created_at", "", " WHERE " + state_of_key());
    const auto of_life = [&](std::string_view alias) {
        return concat({alias, ".state_created_at IS NOT DISTINCT FROM (", born, ")"});
    };
    // The state is locked before its checkpoints are, as by whoever makes one.
    const auto lock =
        table.sql().where().may_be_in_rows()
            ? concat({"l AS MATERIALIZED (",
                      table.sql().select("1", "", " WHERE " + state_of_key() + " FOR NO KEY UPDATE"), "), "})
            : std::string();
    const std::string_view locked = lock.empty() ? "" : " AND EXISTS (SELECT FROM l)";
    return planned("DELETE",
                   concat({"WITH ", lock, "gone AS (DELETE FROM ", table.checkpoints(),
                           " AS c WHERE c.agent_id = $1 AND c.session_id = $2", locked, " AND EXISTS (", born,
                           ") AND ($4::bigint = 0 OR c.created_at <= now() - $4 * interval '1 millisecond')"
                           " AND c.version NOT IN (SELECT k.version FROM ",
                           table.checkpoints(), " AS k WHERE k.agent_id = $1 AND k.session_id = $2 AND ",
                           of_life("k"), " ORDER BY k.version DESC LIMIT $3) RETURNING ", of_life("c"),
                           " AS counts) SELECT pg_snapshot_xmin(pg_current_snapshot()),"
                           " count(*) FILTER (WHERE counts) FROM gone"}),
                   {text, text, int8, int8});
}

std::string checkpoint_sql::of_saves(const table_sql& table) {
    const auto& where = table.where();
    if (!where.checkpoint_every_save) return {};
    const bool rows = where.may_be_in_rows();
    auto parts = concat({", kept AS (INSERT INTO ", where.checkpoints,
                         " AS c (agent_id, session_id, version, label, created_at, messages, state,"
                         " state_created_at, state_updated_at",
                         rows ? ", epoch" : "", ") SELECT t.agent_id, t.session_id, t.version, '', now(), ",
                         history_sql::count(where), ", t.state, t.created_at, t.updated_at",
                         rows ? ", t.epoch" : "", " FROM w AS t)"});
    if (where.keep == 0) return parts;
    // This part does not see the checkpoint that the statement makes, and leaves one fewer.
    return parts +=
           concat({", pruned AS (DELETE FROM ", where.checkpoints,
                   " AS c USING w WHERE c.agent_id = w.agent_id AND c.session_id = w.session_id"
                   " AND c.label = '' AND c.version NOT IN (SELECT k.version FROM ",
                   where.checkpoints,
                   " AS k WHERE k.agent_id = w.agent_id AND k.session_id = w.session_id AND k.label = ''"
                   " ORDER BY k.version DESC LIMIT ",
                   std::to_string(where.keep - 1), "))"});
}

} // namespace pgstate::sql
