#ifndef PGSTATE_POSTGRES_TRANSACTION_HPP
#define PGSTATE_POSTGRES_TRANSACTION_HPP

#include "config/resolved.hpp"
#include "pgstate/transaction.hpp"
#include "pool/call.hpp"
#include "sql/table_sql.hpp"

#include <functional>
#include <memory>

namespace pgstate::postgres {

/// Runs `function` in a transaction on `connection` and commits it, again and again after a serialization failure or a
/// deadlock. Blocks, pauses included; for a worker thread. Nothing is committed once
/// `context.abandoned` is set.
/// \param where  what opening the store has found
/// \param hub  gets the spans of its statements; null for none
/// \throws error  as state_store::transaction says
void run_transaction(pqxx::connection& connection, const settings::resolved_config& config,
                     const sql::histories& where, const std::function<void(transaction&)>& function,
                     const transaction_options& options, const pool::call_context& context,
                     const std::shared_ptr<telemetry::hub>& hub);

} // namespace pgstate::postgres

#endif
