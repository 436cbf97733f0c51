#include "store/sql_text.hpp"

namespace pgstate::store {

std::string sql_text::insert(std::string_view source, existing what, std::string_view returning) const {
    std::string sql =
        "INSERT INTO " + table_ + " AS t (agent_id, session_id, state, created_at, updated_at, version) ";
    sql.append(source).append(" ON CONFLICT (agent_id, session_id) ");
    if (what == existing::kept)
        sql += "DO NOTHING";
    else
        sql += "DO UPDATE SET state = EXCLUDED.state, updated_at = EXCLUDED.updated_at, "
               "version = greatest(t.version + 1, EXCLUDED.version)";
    return sql.append(" RETURNING ").append(returning);
}

std::string sql_text::replace(std::string_view document, std::string_view from, std::string_view condition,
                              std::string_view returning) const {
    return std::string("UPDATE ")
        .append(table_)
        .append(" AS t SET state = ")
        .append(document)
        .append(", updated_at = now(), version = greatest(t.version + 1, ")
        .append(new_version)
        .append(")")
        .append(from)
        .append(" WHERE ")
        .append(condition)
        .append(" RETURNING ")
        .append(returning);
}

std::string sql_text::erase(std::string_view using_, std::string_view condition,
                            std::string_view returning) const {
    return std::string("DELETE FROM ")
        .append(table_)
        .append(" AS t")
        .append(using_)
        .append(" WHERE ")
        .append(condition)
        .append(" RETURNING ")
        .append(returning);
}

std::string sql_text::select(std::string_view columns, std::string_view from,
                             std::string_view condition) const {
    std::string sql =
        std::string("SELECT ").append(columns).append(" FROM ").append(from).append(table_).append(" AS t");
    if (!condition.empty()) sql.append(condition);
    return sql;
}

std::string quote_literal(std::string_view text) {
    std::string quoted = "E'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') quoted += c;
        quoted += c;
    }
    return quoted += '\'';
}

} // namespace pgstate::store
