#include "sql/history_sql.hpp"

namespace pgstate::sql {

std::string history_sql::count_in(std::string_view document) {
    // `->` would copy the history; a path counts in place.
    return std::string("coalesce(jsonb_path_query_first(")
        .append(document)
        .append(", 'strict $.history ? (@.type() == \"array\").size()', '{}', true)::bigint, 0)");
}

// OFFSET 0 keeps a step from being merged into the next, which would evaluate it several times. The operator || makes a value in memory of the stored one.
std::string history_sql::join_window(std::string_view from, std::string_view until, std::string_view most) {
    return std::string(" CROSS JOIN LATERAL (SELECT t.state || '{}'::jsonb AS state OFFSET 0) AS d"
                       " CROSS JOIN LATERAL (SELECT ")
        .append(count_in("d.state"))
        .append(" AS messages OFFSET 0) AS h CROSS JOIN LATERAL (SELECT least(")
        .append(until)
        .append(", h.messages) AS until OFFSET 0) AS e CROSS JOIN LATERAL (SELECT least(greatest(")
        .append(from)
        .append(", e.until - ")
        .append(most)
        .append("), e.until) AS first OFFSET 0) AS w");
}

} // namespace pgstate::sql
