#include "histories.hpp"

#include <pqxx/nontransaction>
#include <pqxx/result>
#include <pqxx/transaction_base>

#include <utility>

namespace pgstate::cli {

history_tables::history_tables(const config& settings)
    : table(postgres_store::quoted_table(settings)),
      messages(postgres_store::quoted_messages_table(settings)),
      checkpoints(postgres_store::quoted_checkpoints_table(settings)) {}

void history_tables::look(pqxx::transaction_base& sql) {
    const auto is_there = [&](const std::string& name) { return "to_regclass(" + sql.quote(name) + ")"; };
    const auto found = sql.exec(
        "SELECT " + is_there(messages) + " IS NOT NULL AND " + is_there(checkpoints) +
        " IS NOT NULL AND EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = " + is_there(table) +
        " AND attname = 'epoch' AND NOT attisdropped)");
    in_rows = found[0][0].as<bool>();
}

std::string messages_of(const std::string& of) {
    return "m.agent_id = " + of + ".agent_id AND m.session_id = " + of + ".session_id AND m.epoch = " + of +
           ".epoch AND m.seq < " + of + ".messages";
}

std::string whole_document(const history_tables& tables, const std::string& of) {
    if (!tables.in_rows) return of + ".state";
    return "(CASE WHEN " + of + ".epoch IS NULL THEN " + of + ".state ELSE jsonb_set(" + of +
           ".state, '{history}', (SELECT coalesce(jsonb_agg(m.message ORDER BY m.seq), '[]') FROM " +
           tables.messages + " AS m WHERE " + messages_of(of) + ")) END)";
}

asio::awaitable<history_tables> find_histories(postgres_store& store, const config& settings) {
    history_tables tables(settings);
    auto look = [tables](pqxx::connection& connection) {
        auto found = tables;
        pqxx::nontransaction sql(connection);
        found.look(sql);
        return found.in_rows;
    };
    tables.in_rows = co_await store.pool().with_connection(std::move(look));
    co_return tables;
}

asio::awaitable<postgres_store> open_with_histories(const context& with, config settings) {
    auto store = co_await postgres_store::open(with.io, settings, asio::use_awaitable);
    if (settings.schema.history == history_layout::rows) co_return store;
    const auto tables = co_await find_histories(store, settings);
    if (!tables.in_rows) co_return store;
    co_await store.close();
    settings.schema.history = history_layout::rows;
    co_return co_await postgres_store::open(with.io, settings, asio::use_awaitable);
}

} // namespace pgstate::cli
