#include "postgres/operations/load.hpp"

#include "codec/codec.hpp"
#include "postgres/operations/written_row.hpp"

#include <utility>

namespace pgstate::postgres {
namespace {

namespace loaded_row {
enum : int { ordinal, state, version, created_at, updated_at, expires_at };
}

} // namespace

load_operation::load_operation(const batch::operation_type& as, std::string agent, std::string session,
                               handler_type handler, const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::load, as, std::move(handler), io), agent_(std::move(agent)),
      session_(std::move(session)) {
    set_key(agent_, session_);
}

result<std::optional<agent_state>> load_operation::decode() {
    if (row() < 0) return std::nullopt;
    return codec::decode(
        agent_, session_, rows().jsonb(row(), loaded_row::state), rows().int8(row(), loaded_row::version),
        rows().timestamptz(row(), loaded_row::created_at), rows().timestamptz(row(), loaded_row::updated_at),
        expiry_in(rows(), row(), loaded_row::expires_at));
}

} // namespace pgstate::postgres
