#include "postgres/operations/load.hpp"

#include "codec/codec.hpp"
#include "postgres/operations/written_row.hpp"

#include <utility>

namespace pgstate::postgres {

agent_state loaded_row::read(const wire::rows& rows, int row, std::string_view agent_id,
                             std::string_view session_id, std::string_view operation) {
    return codec::decode(agent_id, session_id, rows.jsonb(row, state), rows.int8(row, probed_row::version),
                         rows.timestamptz(row, created_at), rows.timestamptz(row, updated_at),
                         expiry_in(rows, row, expires_at), operation);
}

load_operation::load_operation(const batch::operation_type& as, std::string agent, std::string session,
                               handler_type handler, const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::load, as, std::move(handler), io), agent_(std::move(agent)),
      session_(std::move(session)) {
    set_key(agent_, session_);
}

result<std::optional<agent_state>> load_operation::decode() {
    if (row() < 0) return std::nullopt;
    return loaded_row::read(rows(), row(), agent_, session_, name());
}

} // namespace pgstate::postgres
