#include "postgres/operations/settle.hpp"

#include "postgres/operations/rows_write.hpp"
#include "sql/keys.hpp"
#include "sql/settlement.hpp"

#include <string>

namespace pgstate::postgres {
namespace {

using sql::table_sql;

/// As rows_row, with the version of the write that the row names, with xmin in the place of the horizon; and
namespace settled_row {
enum : int { xmin, write_name = rows_row::epoch + 1, next, version };
}

} // namespace

settle_type::settle_type(sql::target_table& table)
    : operation_type({.keyed = true}), table_(table),
      statement_(sql::prepared_by_size(
          "settle",
          table.sql().select("t.xmin, t.agent_id, t.session_id, coalesce(t.write_version, t.version), "
                             "t.created_at, t.updated_at, t.expires_at, " +
                                 // A later writer without a name may have begun another history.
                                 std::string(table.sql().where().may_be_in_rows()
                                                 ? "CASE WHEN t.write_version IS NULL THEN t.epoch END"
                                                 : "NULL::uuid") +
                                 ", t.write_name, pg_snapshot_xmax(pg_current_snapshot()), t.version",
                             "", std::string(" WHERE ").append(table_sql::by_key)),
          {wire::type_oid::text, wire::type_oid::text})) {}

batch::command settle_type::build(const batch::operation_list& operations) const {
    batch::command made{&statement_.of(table_.large()), {}, table_.before()};
    sql::add_key(made.values, *operations.front());
    return made;
}

std::vector<int> settle_type::pair(const batch::operation_list&, const wire::rows& rows) const {
    return {sql::only_row(rows)};
}

batch::settlement settle_type::judge(const batch::operation& what, const wire::incarnation& seen_by,
                                     const wire::rows& rows, int row) const {
    const auto& open = *what.in_doubt;
    sql::write_evidence evidence;
    evidence.name = what.write_name;
    evidence.if_version = what.if_version();
    evidence.repeatable = what.repeatable();
    evidence.fenced = what.life.as == batch::life::phase::fenced;
    if (open.sent_at.xmin != 0 && seen_by.known() && seen_by == open.sent_at.of)
        evidence.horizon = open.sent_at.xmin;
    evidence.exists = row >= 0;
    if (evidence.exists) {
        evidence.version = rows.int8(row, settled_row::version);
        evidence.xmin = rows.xid(row, settled_row::xmin);
        evidence.next = rows.xid8(row, settled_row::next);
        if (!rows.is_null(row, settled_row::write_name))
            evidence.last_writer = rows.uuid(row, settled_row::write_name);
    }
    return sql::judge(evidence);
}

// As who may end it: the same role. A role set in config.session_settings may not, so nothing runs before. A process that
// does not exist any more has ended. The statement does not wait for that, and says false: it is sent again.
fence_type::fence_type()
    : operation_type({.keyed = true}),
      statement_(sql::prepared("fence",
                               "SELECT coalesce((SELECT pg_terminate_backend(a.pid)::int < 0"
                               " FROM pg_catalog.pg_stat_get_activity($1::int) a"
                               " WHERE (extract(epoch FROM a.backend_start) * 1000000)::bigint = $2), true)",
                               {wire::type_oid::int8, wire::type_oid::int8})) {}

batch::command fence_type::build(const batch::operation_list& operations) const {
    const auto& lost = operations.front()->in_doubt->lost;
    batch::command made{&statement_, {}, nullptr};
    made.values.add_int8(lost.pid);
    made.values.add_int8(lost.started);
    return made;
}

std::vector<int> fence_type::pair(const batch::operation_list&, const wire::rows& rows) const {
    if (rows.size() != 1) sql::refuse_answer();
    return {0};
}

} // namespace pgstate::postgres
