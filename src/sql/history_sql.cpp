#include "sql/history_sql.hpp"

namespace pgstate::sql {

std::string history_sql::count_in(std::string_view document) {
    // `->` would copy the history; a path counts in place.
    return std::string("coalesce(jsonb_path_query_first(")
        .append(document)
        .append(", 'strict $.history ? (@.type() == \"array\").size()', '{}', true)::bigint, 0)");
}

// OFFSET 0 keeps a step from being merged into the next, which would evaluate it several times. The operator || makes a value in memory of the stored one.
std::string history_sql::join_window(const histories& where, std::string_view from, std::string_view until,
                                     std::string_view most) {
    return std::string(" CROSS JOIN LATERAL (SELECT t.state || '{}'::jsonb AS state OFFSET 0) AS d"
                       " CROSS JOIN LATERAL (SELECT ")
        .append(where.may_be_in_rows() ? "CASE WHEN t.epoch IS NOT NULL THEN t.messages ELSE " : "")
        .append(count_in("d.state"))
        .append(where.may_be_in_rows() ? " END" : "")
        .append(" AS messages OFFSET 0) AS h CROSS JOIN LATERAL (SELECT least(")
        .append(until)
        .append(", h.messages) AS until OFFSET 0) AS e CROSS JOIN LATERAL (SELECT least(greatest(")
        .append(from)
        .append(", e.until - ")
        .append(most)
        .append("), e.until) AS first OFFSET 0) AS w");
}

std::string history_sql::count(const histories& where) {
    if (!where.may_be_in_rows()) return count_in("t.state");
    return "CASE WHEN t.epoch IS NOT NULL THEN t.messages ELSE " + count_in("t.state") + " END";
}

std::string history_sql::windowed_document(const histories& where) {
    return std::string("CASE WHEN h.messages = 0")
        .append(where.may_be_in_rows() ? " OR t.epoch IS NOT NULL" : "")
        .append(" THEN d.state ELSE (d.state - 'history') || jsonb_build_object('history', "
                "jsonb_path_query_array(d.state, '$.history[$a to $b]', "
                "jsonb_build_object('a', w.first, 'b', e.until - 1))) END");
}

std::string history_sql::window_columns(const histories& where) {
    std::string columns = "w.first, h.messages";
    if (where.may_be_in_rows()) columns += ", " + rows_columns(where, "t", "w.first", "e.until");
    return columns;
}

std::string history_sql::rows_columns(const histories& where, std::string_view of, std::string_view from,
                                      std::string_view until) {
    // The aggregate takes the messages in the order of its ordered part, which the index of the key gives; ORDER BY in the
    // aggregate would sort the texts. The manual warns of a join or other processing between the two ("Aggregate
    // Functions"). There is none, and a part that depends on the row outside of it is not run in parallel.
    std::string columns(of);
    columns.append(".epoch, (SELECT string_agg(o.message::text, ',') FROM (SELECT m.message FROM ")
        .append(where.messages)
        .append(" AS m WHERE m.agent_id = t.agent_id AND m.session_id = t.session_id AND m.epoch = ")
        .append(of)
        .append(".epoch");
    if (!from.empty()) columns.append(" AND m.seq >= ").append(from);
    if (!until.empty()) columns.append(" AND m.seq < ").append(until);
    return columns.append(" ORDER BY m.seq) AS o)");
}

} // namespace pgstate::sql
