#include "table.hpp"

#include "open_store.hpp"
#include "pgstate/detail/encoded_state.hpp"

#include <boost/asio/use_future.hpp>

#include <pqxx/nontransaction>
#include <pqxx/result>
#include <pqxx/transaction>

#include <iostream>
#include <stdexcept>

namespace bench {
namespace {

void refuse_foreign_rows(pqxx::transaction_base& sql, const arguments& chosen) {
    const auto found =
        sql.exec("SELECT EXISTS (SELECT FROM " + chosen.table + " WHERE agent_id !~ '^agent-[0-9]+$')");
    if (found[0][0].as<bool>())
        throw std::runtime_error("table " + chosen.table +
                                 " holds states that are not this program's; name another with --table");
}

// A table that exists keeps its indexes, whatever the store is told.
void refuse_other_indexes(pqxx::transaction_base& sql, const arguments& chosen) {
    const auto found =
        sql.exec("SELECT count(*) FROM pg_index WHERE indrelid = '" + chosen.table + "'::regclass");
    const bool lean = chosen.indexes == pgstate::index_mode::lean;
    if (lean != (found[0][0].as<int>() == 1))
        throw std::runtime_error("table " + chosen.table + " does not have " + chosen.indexes_name +
                                 " indexes; name another with --table, or drop it");
}

bool filled(pqxx::transaction_base& sql, const arguments& chosen, const workload& work) {
    const auto found = sql.exec("SELECT count(*), count(DISTINCT agent_id), count(*) FILTER (WHERE "
                                "octet_length(state #>> '{history,0,content}') = " +
                                std::to_string(work.content_bytes()) +
                                " AND state #> '{history,1}' IS NULL) FROM " + chosen.table);
    const auto rows = std::uint64_t{chosen.agents} * chosen.sessions;
    return found[0][0].as<std::uint64_t>() == rows && found[0][1].as<std::uint64_t>() == chosen.agents &&
           found[0][2].as<std::uint64_t>() == rows;
}

void fill(pqxx::transaction_base& sql, const arguments& chosen, const workload& work) {
    generator choices(chosen.seed);
    const pgstate::detail::encoded_state first(work.make_state({}, choices));
    sql.exec("TRUNCATE " + chosen.table);
    sql.exec("INSERT INTO " + chosen.table +
             " (agent_id, session_id, state, created_at, updated_at)"
             " SELECT a, s, d || jsonb_build_object('agent_id', a, 'session_id', s), clock_timestamp(),"
             " clock_timestamp() FROM (SELECT " +
             sql.quote(first.document) +
             "::jsonb) AS document (d)"
             " CROSS JOIN (SELECT 'agent-' || n FROM generate_series(0, " +
             std::to_string(chosen.agents - 1) +
             ") AS n) AS agents (a)"
             " CROSS JOIN (SELECT 'session-' || n FROM generate_series(0, " +
             std::to_string(chosen.sessions - 1) + ") AS n) AS sessions (s)");
}

void fill_if_needed(pqxx::connection& c, const arguments& chosen, const workload& work) {
    pqxx::work sql(c);
    refuse_foreign_rows(sql, chosen);
    refuse_other_indexes(sql, chosen);
    if (filled(sql, chosen, work)) return;
    std::cerr << "filling " << chosen.table << " with " << std::uint64_t{chosen.agents} * chosen.sessions
              << " states of " << chosen.state_bytes << " bytes\n";
    fill(sql, chosen, work);
    sql.commit();
}

void tidy_up(pqxx::connection& c, const arguments& chosen) {
    pqxx::nontransaction sql(c);
    sql.exec("VACUUM ANALYZE " + chosen.table);
    try {
        sql.exec("CHECKPOINT");
    } catch (const pqxx::insufficient_privilege&) {
        std::cerr << "no right to CHECKPOINT: the server may write old changes out during the run\n";
    }
}

} // namespace

void prepare_table(engine& runs_on, const arguments& chosen, const workload& work, const std::string& url) {
    auto store = open_store(runs_on, chosen, url);
    const auto prepare = [&](pqxx::connection& c) {
        fill_if_needed(c, chosen, work);
        tidy_up(c, chosen);
    };
    store.pool().with_connection(prepare, boost::asio::use_future).get();
    store.close(boost::asio::use_future).get();
}

} // namespace bench
