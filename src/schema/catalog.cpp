#include "schema/catalog.hpp"

#include <pqxx/result>
#include <pqxx/transaction_base>

#include <utility>
#include <vector>

namespace pgstate::schema {
namespace {

// An unqualified name is where the search_path finds it, else where CREATE TABLE would put it.
std::string schema_expression(pqxx::transaction_base& sql, const settings::table_identifier& table) {
    if (!table.schema.empty()) return sql.quote(table.schema);
    return "coalesce((SELECT s.nspname FROM pg_catalog.pg_class k"
           " JOIN pg_catalog.pg_namespace s ON s.oid = k.relnamespace"
           " WHERE k.oid = to_regclass(" +
           sql.quote(table.quoted()) + ")), current_schema())";
}

void read_columns(pqxx::transaction_base& sql, const std::string& oid, table_shape& shape) {
    const auto rows =
        sql.exec("SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull OR t.typnotnull,"
                 " a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,"
                 " a.attgenerated <> '' OR a.attidentity = 'a', coalesce(l.collisdeterministic, true),"
                 " CASE WHEN a.attname = 'version' THEN col_description(a.attrelid, a.attnum) END,"
                 " a.attidentity = 'd', a.atttypid, a.atttypmod <> -1"
                 " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
                 " LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation"
                 " WHERE a.attrelid = " +
                 oid + " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum");
    for (const auto& row : rows) {
        shape.columns.push_back({.name = row[0].as<std::string>(),
                                 .oid = row[8].as<unsigned>(),
                                 .modified = row[9].as<bool>(),
                                 .type = row[1].as<std::string>(),
                                 .not_null = row[2].as<bool>(),
                                 .has_default = row[3].as<bool>(),
                                 .generated = row[4].as<bool>(),
                                 .identity = row[7].as<bool>(),
                                 .deterministic_collation = row[5].as<bool>()});
        if (!row[6].is_null()) shape.recorded = recorded_migration(row[6].as<std::string>());
    }
}

void read_indexes(pqxx::transaction_base& sql, const std::string& oid, table_shape& shape) {
    // One row for each key; an index is known by its oid, so that rows of one name cannot mix. A predicate is compared with
    // what the same session makes of the wanted one, as settings decide how the server prints.
    const auto rows = sql.exec(
        "SELECT c.relname, m.amname, i.indisprimary, i.indisvalid, i.indimmediate,"
        " coalesce(a.attname::text, ''), k.at = 1, i.indpred IS NULL,"
        " coalesce(pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname), false)"
        " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_catalog.pg_am m ON m.oid = c.relam"
        " CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k (number, at)"
        " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number"
        " WHERE i.indrelid = " +
        oid + " AND k.at <= i.indnkeyatts ORDER BY i.indexrelid, k.at");
    for (const auto& row : rows) {
        using of = index_shape::rows;
        if (row[6].as<bool>())
            shape.indexes.push_back({.name = row[0].as<std::string>(),
                                     .method = row[1].as<std::string>(),
                                     .columns = {},
                                     .primary = row[2].as<bool>(),
                                     .of = row[7].as<bool>()   ? of::all
                                           : row[8].as<bool>() ? of::not_null
                                                               : of::others,
                                     .usable = row[3].as<bool>(),
                                     .immediate = row[4].as<bool>()});
        shape.indexes.back().columns.push_back(row[5].as<std::string>());
    }
}

/// Whether the guard's trigger is there: BEFORE UPDATE OF state FOR EACH ROW (pg_trigger.tgtype), and enabled.
bool read_guard(pqxx::transaction_base& sql, const std::string& oid,
                const settings::resolved_config& config) {
    const auto name = sql.quote(config.table.related_name(guard_suffix));
    return !sql.exec("SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid"
                     " JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid AND c.relnamespace = p.pronamespace"
                     " WHERE g.tgrelid = " +
                     oid + " AND g.tgname = " + name + " AND p.proname = " + name +
                     " AND g.tgtype = 19 AND g.tgenabled IN ('O', 'A')")
                .empty();
}

/// The table of checkpoints, and whether a foreign key deletes its rows with those of the table (pg_constraint).
void read_checkpoints(pqxx::transaction_base& sql, const settings::resolved_config& config,
                      table_shape& shape, const std::string& oid) {
    const auto rows = sql.exec(
        "SELECT c.oid, EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.conrelid = c.oid AND f.confrelid = " +
        (oid.empty() ? "0" : oid) +
        " AND f.contype = 'f' AND f.confdeltype = 'c') FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = " +
        sql.quote(shape.schema) +
        " AND c.relname = " + sql.quote(config.table.related_name(checkpoints_suffix)));
    if (rows.empty()) return;
    table_shape related;
    read_columns(sql, rows[0][0].as<std::string>(), related);
    read_indexes(sql, rows[0][0].as<std::string>(), related);
    shape.checkpoints = {std::move(related.columns), std::move(related.indexes), rows[0][1].as<bool>()};
}

/// The table of messages, and which of the triggers are there, each with the function of its name.
void read_messages(pqxx::transaction_base& sql, const settings::resolved_config& config, table_shape& shape) {
    const auto of_name = [&](std::string_view suffix) {
        return "(SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
               " WHERE n.nspname = " +
               sql.quote(shape.schema) + " AND c.relname = " +
               sql.quote(suffix.empty() ? config.table.name : config.table.related_name(suffix)) + ")";
    };
    const auto found = sql.exec("SELECT " + of_name(messages_suffix));
    if (found[0][0].is_null()) return;
    table_shape related;
    read_columns(sql, found[0][0].as<std::string>(), related);
    read_indexes(sql, found[0][0].as<std::string>(), related);
    shape.messages = {std::move(related.columns), std::move(related.indexes), {}};
    for (const auto& trigger : history_triggers()) {
        const auto name = sql.quote(config.table.related_name(trigger.suffix));
        if (!sql.exec("SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid"
                      " WHERE g.tgname = " +
                      name + " AND p.proname = " + name +
                      " AND g.tgenabled IN ('O', 'A') AND g.tgrelid = " + of_name(trigger.on))
                 .empty())
            shape.messages.triggers.emplace_back(trigger.suffix);
    }
}

std::vector<std::string> read_taken_names(pqxx::transaction_base& sql,
                                          const settings::resolved_config& config) {
    std::string names;
    for (const auto& index : wanted_indexes(config))
        names += (names.empty() ? "" : ", ") + sql.quote(config.table.index_name(index.suffix));
    std::vector<std::string> taken;
    if (names.empty()) return taken;
    const auto rows =
        sql.exec("SELECT c.relname FROM pg_catalog.pg_class c"
                 " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = " +
                 schema_expression(sql, config.table) + " AND c.relname IN (" + names + ")");
    for (const auto& row : rows)
        taken.push_back(row[0].as<std::string>());
    return taken;
}

} // namespace

catalog_entry read_catalog(pqxx::transaction_base& sql, const settings::resolved_config& config) {
    catalog_entry entry;
    // First: a table that another program is just making then appears with its indexes, or not at all.
    entry.shape.taken_index_names = read_taken_names(sql, config);

    const auto rows = sql.exec(
        "SELECT current_user, w.schema, n.oid IS NOT NULL, has_schema_privilege(n.oid, 'USAGE'), c.oid,"
        " c.relkind, c.relpersistence = 't' FROM (SELECT " +
        schema_expression(sql, config.table) +
        " AS schema) w LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema"
        " LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = " +
        sql.quote(config.table.name));
    const auto& row = rows[0];
    entry.role = row[0].as<std::string>();
    if (!row[1].is_null()) entry.shape.schema = row[1].as<std::string>();
    entry.shape.schema_exists = row[2].as<bool>();
    if (!entry.shape.schema_exists) return entry;
    entry.may_use_schema = row[3].as<bool>();
    entry.shape.exists = !row[4].is_null();
    read_messages(sql, config, entry.shape);
    if (config.schema.checkpoints || config.schema.history == history_layout::rows ||
        !entry.shape.messages.columns.empty())
        read_checkpoints(sql, config, entry.shape, row[4].is_null() ? "" : row[4].as<std::string>());
    if (!entry.shape.exists) return entry;
    const auto oid = row[4].as<std::string>();
    entry.shape.kind = row[5].as<std::string>().front();
    entry.shape.temporary = row[6].as<bool>();
    read_columns(sql, oid, entry.shape);
    read_indexes(sql, oid, entry.shape);
    entry.shape.guarded = read_guard(sql, oid, config);
    return entry;
}

} // namespace pgstate::schema
