#include "postgres/operations/checkpoint.hpp"

#include "codec/change.hpp"
#include "codec/codec.hpp"
#include "codec/cursor.hpp"
#include "postgres/operations/load.hpp"
#include "postgres/operations/probe.hpp"
#include "sql/history_sql.hpp"
#include "sql/message_rows.hpp"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <string_view>
#include <utility>

namespace pgstate::postgres {
namespace {

using sql::table_sql;
using enum wire::type_oid;

namespace made_row {
enum : int { horizon, version, label, created_at, messages };
} // namespace made_row
namespace kept_row {
enum : int { version, label, created_at, messages };
} // namespace kept_row
/// `found` is NULL where there is no checkpoint.
namespace kept_state_row {
/// Behind them, where histories may be in rows, the columns of loaded_row from `first` on.
enum : int { present = probed_row::version, found, state, created_at, updated_at, expires_at, first };
} // namespace kept_state_row
namespace restore_probe_row {
enum : int { present = probed_row::version, found };
} // namespace restore_probe_row
/// `target` is the version in the way, or 0.
namespace fork_probe_row {
enum : int { target = probed_row::version, source, found };
} // namespace fork_probe_row
namespace pruned_row {
enum : int { horizon, count };
} // namespace pruned_row

std::string concat(std::initializer_list<std::string_view> parts) {
    std::string whole;
    for (const auto each : parts)
        whole.append(each);
    return whole;
}

std::string state_of_key() {
    return concat({table_sql::by_key, " AND ", table_sql::alive});
}

/// The checkpoints `c` of the state in row `t`, whose key is $1 and $2, in its present life.
constexpr std::string_view of_state =
    "c.agent_id = $1 AND c.session_id = $2 AND c.state_created_at IS NOT DISTINCT FROM t.created_at";

wire::statement planned(std::string_view verb, std::string sql, sql::types parameters) {
    auto made = sql::planned_anew(std::move(sql), std::move(parameters));
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
std::string copy_messages(const sql::target_table& table, std::string_view from, std::string_view session,
                          std::string_view epoch, std::string_view messages) {
    return sql::message_rows(table.sql(), sql::message_rows::input::one)
        .insert(
            concat({"SELECT w.agent_id, w.session_id, w.epoch, s.seq, s.id, s.message FROM ", from, " JOIN ",
                    table.sql().where().messages, " AS s ON s.agent_id = $1 AND s.session_id = ", session,
                    " AND s.epoch = ", epoch, " AND s.seq < ", messages}));
}

// The row stays locked until the checkpoint is there, so that nobody erases it before. Where messages may be in rows, nobody
// replaces its history before either: whoever did would delete the messages that the checkpoint names. A transaction that
// saw the table before the checkpoint was there then fails to write the row, as the row has been written.
wire::statement make_statement(const sql::target_table& table) {
    const auto& where = table.sql().where();
    const auto columns =
        concat({"t.agent_id, t.session_id, t.version, $3::text, now(), ", sql::history_sql::count(where),
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

wire::statement list_statement(const sql::target_table& table) {
    return planned("SELECT",
                   table.sql().select("c.version, c.label, c.created_at, c.messages",
                                      concat({table.checkpoints(), " AS c, "}),
                                      concat({" WHERE ", state_of_key(), " AND ", of_state,
                                              " AND ($4::bigint IS NULL OR c.version < $4)"
                                              " ORDER BY c.version DESC LIMIT $3"})),
                   {text, text, int8, int8});
}

/// Joined to `t`: its state `x` at the version $3, where that is the present one or has a checkpoint; NULL: the present one.
std::string at_version(const sql::target_table& table) {
    const bool rows = table.sql().where().may_be_in_rows();
    return concat({"LATERAL (SELECT t.version, t.state, t.updated_at", rows ? ", t.epoch, t.messages" : "",
                   " WHERE $3::bigint IS NULL OR t.version = $3"
                   " UNION ALL SELECT c.version, c.state, c.state_updated_at",
                   rows ? ", c.epoch, c.messages" : "", " FROM ", table.checkpoints(), " AS c WHERE ",
                   of_state, " AND c.version = $3 AND t.version <> $3) AS x"});
}

wire::statement load_at_statement(const sql::target_table& table) {
    const auto& where = table.sql().where();
    auto columns =
        std::string("1::bigint, t.version, x.version, x.state, t.created_at, x.updated_at, t.expires_at");
    if (where.may_be_in_rows())
        columns += ", 0::bigint, coalesce(x.messages, 0), " +
                   sql::history_sql::rows_columns(where, "x", "", "x.messages");
    return planned(
        "SELECT",
        table.sql().select(columns, "",
                           concat({" LEFT JOIN ", at_version(table), " ON true WHERE ", state_of_key()})),
        {text, text, int8});
}

/// Messages in rows are copied under a new epoch: those behind the checkpoint have the numbers of what comes next.
wire::statement restore_statement(const sql::target_table& table) {
    const auto& where = table.sql().where();
    const auto at = at_version(table);
    const auto condition =
        concat({table_sql::by_key,
                " AND ($4::bigint IS NULL OR t.version = $4) AND EXISTS (SELECT x.state FROM ", at, ")"});
    const sql::types types{text, text, int8, int8, int8, uuid};
    if (!where.may_be_in_rows())
        return planned("UPDATE",
                       table.sql().replace(concat({"(SELECT x.state FROM ", at, ")"}),
                                           table_sql::expiry_or_kept("$5"), "", condition, "$6",
                                           written_row::columns(true)),
                       types);
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
        types);
}

wire::statement restore_probe_statement(const sql::target_table& table) {
    return planned(
        "SELECT",
        table.sql().select(concat({"1::bigint, t.version, EXISTS (SELECT FROM ", at_version(table), ")"}), "",
                           " WHERE " + state_of_key()),
        {text, text, int8});
}

/// The state that a fork copies: of the key $1 and $2, at the version $3.
std::string forked(const sql::target_table& table) {
    return table.sql().select(table.sql().where().may_be_in_rows() ? "x.state, x.epoch, x.messages"
                                                                   : "x.state",
                              "", concat({" CROSS JOIN ", at_version(table), " WHERE ", state_of_key()}));
}

/// Into the session $4.
wire::statement fork_statement(const sql::target_table& table) {
    const bool rows = table.sql().where().may_be_in_rows();
    const auto from = rows ? std::string("f") : concat({"(", forked(table), ") AS f"});
    const auto source = concat(
        {"SELECT $1::text, $4::text, jsonb_set(f.state, '{session_id}', to_jsonb($4::text)), now(), now(), ",
         table_sql::expiry_in("$5::bigint"), ", $6::uuid",
         rows
             ? ", CASE WHEN f.epoch IS NOT NULL THEN $6::uuid END, CASE WHEN f.epoch IS NOT NULL THEN f.messages END"
             : "",
         " FROM ", from});
    const sql::types types{text, text, int8, text, int8, uuid};
    const auto insert = table.sql().insert(source, table_sql::existing::unchanged,
                                           rows ? std::string(returned_to_w) : written_row::columns(true));
    if (!rows) return planned("INSERT", insert, types);
    return planned("INSERT",
                   concat({"WITH f AS MATERIALIZED (", forked(table), "), w AS (", insert, "), p AS (",
                           copy_messages(table, "w CROSS JOIN f", "$2", "f.epoch", "f.messages"), ") SELECT ",
                           columns_of_w, " FROM w"}),
                   types);
}

wire::statement fork_probe_statement(const sql::target_table& table) {
    const auto target = table.sql().select(
        "t.version", "", concat({" WHERE t.agent_id = $1 AND t.session_id = $4 AND ", table_sql::alive}));
    return planned(
        "SELECT",
        concat({"SELECT 1::bigint, coalesce((", target, "), 0), EXISTS (",
                table.sql().select("1", "", " WHERE " + state_of_key()), "), EXISTS (", forked(table), ")"}),
        {text, text, int8, text});
}

/// Those of an earlier life go too, and are not counted.
wire::statement prune_statement(const sql::target_table& table) {
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

void add_or_null(wire::parameters& values, const std::optional<std::int64_t>& number) {
    number ? values.add_int8(*number) : values.add_null();
}

/// What a fork copies from, and where to: its own key is the new session's.
void add_source(wire::parameters& values, const fork_operation& fork) {
    values.add_text(fork.agent_id);
    values.add_text(fork.source());
    add_or_null(values, fork.at());
    values.add_text(fork.session_id);
}

/// The key, and what `more` adds.
template <class Operation, class More>
void add_to(wire::parameters& values, const batch::operation& what, More more) {
    sql::add_key(values, what);
    more(static_cast<const Operation&>(what));
}

std::int64_t counted(std::size_t number) {
    return static_cast<std::int64_t>(
        std::min(number, static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max())));
}

} // namespace

checkpoint_operation::checkpoint_operation(const batch::operation_type& as, std::string agent,
                                           std::string session, std::string label, handler_type handler,
                                           const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::checkpoint, as, std::move(handler), io),
      agent_(std::move(agent)), session_(std::move(session)), label_(std::move(label)) {
    set_key(agent_, session_);
    bytes += label_.size();
}

result<checkpoint_info> checkpoint_operation::decode() {
    if (row() < 0) return codec::not_found(name());
    return checkpoint_info{
        rows().int8(row(), made_row::version), std::string(rows().text(row(), made_row::label)),
        rows().timestamptz(row(), made_row::created_at), rows().int8(row(), made_row::messages)};
}

checkpoints_operation::checkpoints_operation(const batch::operation_type& as, std::string agent,
                                             std::string session, std::size_t limit,
                                             std::optional<std::int64_t> before, handler_type handler,
                                             const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::checkpoints, as, std::move(handler), io),
      agent_(std::move(agent)), session_(std::move(session)), limit_(limit), before_(before) {
    set_key(agent_, session_);
}

result<checkpoint_page> checkpoints_operation::decode() {
    checkpoint_page page;
    const auto found = static_cast<std::size_t>(rows().size());
    for (std::size_t i = 0; i < std::min(found, limit_); ++i) {
        const int at = static_cast<int>(i);
        page.checkpoints.push_back(
            {rows().int8(at, kept_row::version), std::string(rows().text(at, kept_row::label)),
             rows().timestamptz(at, kept_row::created_at), rows().int8(at, kept_row::messages)});
    }
    if (found > limit_)
        page.next = codec::cursor_of_checkpoint(agent_, session_, page.checkpoints.back().version);
    return page;
}

load_at_operation::load_at_operation(const batch::operation_type& as, std::string agent, std::string session,
                                     std::int64_t version, handler_type handler,
                                     const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::load, as, std::move(handler), io), agent_(std::move(agent)),
      session_(std::move(session)), version_(version) {
    set_key(agent_, session_);
}

result<std::optional<agent_state>> load_at_operation::decode() {
    if (row() < 0) return std::nullopt;
    if (rows().is_null(row(), kept_state_row::found)) return codec::no_checkpoint(name(), version_);
    auto loaded = codec::decode(agent_, session_, rows().jsonb(row(), kept_state_row::state), version_,
                                rows().timestamptz(row(), kept_state_row::created_at),
                                rows().timestamptz(row(), kept_state_row::updated_at),
                                expiry_in(rows(), row(), kept_state_row::expires_at), name(),
                                messages_in_rows(rows(), row(), kept_state_row::first));
    note_window(loaded, rows(), row(), kept_state_row::first, history_window::all, name());
    return loaded;
}

restore_operation::restore_operation(const batch::operation_type& as, std::string agent, std::string session,
                                     std::int64_t version, const restore_options& options,
                                     handler_type handler, const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::restore, as, std::move(handler), io),
      agent_(std::move(agent)), session_(std::move(session)), version_(version),
      if_version_(options.if_version), ttl_(options.ttl.value_or(std::chrono::milliseconds(0))) {
    set_key(agent_, session_);
}

bool restore_operation::wants_retry(const wire::rows& rows, int row) {
    if (row < 0 || !rows.boolean(row, restore_probe_row::found)) return false;
    const auto present = probed_row::version_in(rows, row);
    return if_version_.value_or(present) == present && contradicted_.worth_retry(present);
}

result<saved> restore_operation::decode() {
    if (!probed() && row() >= 0) return written_row::read(*this, rows(), row(), true);
    if (row() < 0) return codec::not_found(name());
    const auto present = probed_row::version_in(rows(), row());
    if (if_version_ && *if_version_ != present) return codec::conflict(name(), *if_version_, present);
    if (!rows().boolean(row(), restore_probe_row::found)) return codec::no_checkpoint(name(), version_);
    return write_suppressed(name());
}

fork_operation::fork_operation(const batch::operation_type& as, std::string agent, std::string session,
                               std::string new_session, const fork_options& options,
                               std::chrono::milliseconds default_ttl, handler_type handler,
                               const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::fork, as, std::move(handler), io), agent_(std::move(agent)),
      source_(std::move(session)), new_session_(std::move(new_session)), at_(options.at),
      ttl_(options.ttl.value_or(default_ttl)) {
    set_key(agent_, new_session_);
    bytes += source_.size();
}

bool fork_operation::wants_retry(const wire::rows& rows, int row) {
    return row >= 0 && probed_row::version_in(rows, row) == 0 && rows.boolean(row, fork_probe_row::found) &&
           contradicted_.worth_retry(0);
}

result<saved> fork_operation::decode() {
    if (!probed() && row() >= 0) return written_row::read(*this, rows(), row(), true);
    if (const auto target = probed_row::version_in(rows(), row()); target != 0)
        return codec::conflict(name(), 0, target);
    if (!rows().boolean(row(), fork_probe_row::source)) return codec::not_found(name());
    if (!rows().boolean(row(), fork_probe_row::found)) return codec::no_checkpoint(name(), at_.value_or(0));
    return write_suppressed(name());
}

prune_operation::prune_operation(const batch::operation_type& as, std::string agent, std::string session,
                                 const prune_options& options, handler_type handler,
                                 const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::prune, as, std::move(handler), io), agent_(std::move(agent)),
      session_(std::move(session)), keep_(options.keep), older_than_(std::min(options.older_than, max_ttl)) {
    set_key(agent_, session_);
}

result<std::int64_t> prune_operation::decode() {
    return rows().int8(row(), pruned_row::count);
}

checkpoint_write::checkpoint_write(sql::target_table& table, wire::statement statement, add_values add,
                                   bool names)
    : writing_type(table, false), statement_(std::move(statement)), add_(add), names_(names) {}

batch::command checkpoint_write::build_without_name(const batch::operation_list& operations) const {
    batch::command made{&statement_, {}, table().before_lookups()};
    add_(made.values, *operations.front());
    return made;
}

checkpoint_types::checkpoint_types(sql::target_table& table)
    : make(
          table, make_statement(table),
          [](auto& values, const auto& what) {
              add_to<checkpoint_operation>(values, what,
                                           [&](const auto& each) { values.add_text(each.label()); });
          },
          false),
      list(table, list_statement(table),
           [](auto& values, const auto& what) {
               add_to<checkpoints_operation>(values, what, [&](const auto& each) {
                   values.add_int8(counted(each.limit()) + 1); // to know whether there is a next page
                   add_or_null(values, each.before());
               });
           }),
      load_at(table, load_at_statement(table),
              [](auto& values, const auto& what) {
                  add_to<load_at_operation>(values, what,
                                            [&](const auto& each) { values.add_int8(each.version()); });
              }),
      restore(
          table, restore_statement(table),
          [](auto& values, const auto& what) {
              add_to<restore_operation>(values, what, [&](const auto& each) {
                  values.add_int8(each.version());
                  add_or_null(values, each.if_version());
                  values.add_int8(each.ttl().count());
              });
          },
          true),
      restore_probe(table, restore_probe_statement(table),
                    [](auto& values, const auto& what) {
                        add_to<restore_operation>(values, what,
                                                  [&](const auto& each) { values.add_int8(each.version()); });
                    }),
      fork(
          table, fork_statement(table),
          [](auto& values, const auto& what) {
              const auto& each = static_cast<const fork_operation&>(what);
              add_source(values, each);
              values.add_int8(each.ttl().count());
          },
          true),
      fork_probe(table, fork_probe_statement(table),
                 [](auto& values, const auto& what) {
                     add_source(values, static_cast<const fork_operation&>(what));
                 }),
      prune(
          table, prune_statement(table),
          [](auto& values, const auto& what) {
              add_to<prune_operation>(values, what, [&](const auto& each) {
                  values.add_int8(counted(each.keep()));
                  values.add_int8(each.older_than().count());
              });
          },
          false) {}

} // namespace pgstate::postgres
