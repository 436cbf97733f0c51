#ifndef PGSTATE_STORE_POSTGRES_TRANSACTION_HPP
#define PGSTATE_STORE_POSTGRES_TRANSACTION_HPP

#include "config/resolved.hpp"
#include "pgstate/transaction.hpp"
#include "pool/call.hpp"
#include "store/sql_text.hpp"

#include <functional>
#include <memory>

namespace pgstate::store {

/// Runs `function` in a transaction on `connection` and commits it, again and again after a serialization failure or a
/// deadlock. Blocks, pauses included; for a worker thread. Nothing is committed once
/// `context.abandoned` is set. \param told  of the spans of its statements; null for nobody
/// \throws error  as state_store::transaction says
void run_transaction(pqxx::connection& connection, const settings::resolved_config& config,
                     const std::function<void(transaction&)>& function, const transaction_options& options,
                     versioning kept, const pool::call_context& context,
                     const std::shared_ptr<telemetry::hub>& told);

} // namespace pgstate::store

#endif
