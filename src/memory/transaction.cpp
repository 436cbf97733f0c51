#include "memory/transaction.hpp"

#include "codec/codec.hpp"
#include "codec/validate.hpp"
#include "pgstate/error.hpp"

#include <exception>
#include <string>
#include <utility>

namespace pgstate::memory {

memory_transaction::~memory_transaction() = default;

const memory_row* memory_transaction::see(const table::key& k) {
    if (const auto own = written_.find(k); own != written_.end())
        return own->second ? &*own->second : nullptr;
    const memory_row* row = table_.find(k);
    first_seen_.try_emplace(k, row ? row->version : 0);
    return row;
}

saved memory_transaction::save(const agent_state& state, save_options options) {
    codec::validate_timeout(options.timeout, "save");
    const detail::encoded_state encoded(state);
    if (encoded.failure) throw *encoded.failure;
    return do_save(encoded, options);
}

saved memory_transaction::do_save(const detail::encoded_state& state, save_options options) {
    codec::validate_ttl(options.ttl, "save");
    const table::key k(state.agent_id, state.session_id);
    const std::lock_guard lock(mutex_);
    memory_row row = table_.next_row(see(k), state, options).value();
    saved result = row.as_saved();
    result.mark = state.mark;
    written_.insert_or_assign(k, std::move(row));
    return result;
}

std::optional<agent_state> memory_transaction::load(std::string_view agent_id, std::string_view session_id) {
    codec::validate_key(agent_id, session_id, "load");
    memory_row copy;
    {
        const std::lock_guard lock(mutex_);
        const memory_row* row = see({std::string(agent_id), std::string(session_id)});
        if (!row) return std::nullopt;
        copy = *row;
    }
    return codec::decode(agent_id, session_id, copy.document, copy.version, copy.created_at, copy.updated_at,
                         copy.expires_at);
}

bool memory_transaction::erase(std::string_view agent_id, std::string_view session_id) {
    codec::validate_key(agent_id, session_id, "erase");
    const table::key k(agent_id, session_id);
    const std::lock_guard lock(mutex_);
    if (!see(k)) return false;
    written_.insert_or_assign(k, std::nullopt);
    return true;
}

pqxx::transaction_base& memory_transaction::sql() {
    throw error(errc::invalid_argument, "transaction",
                "a memory_store has no SQL; use a postgres_store where sql() is needed");
}

bool memory_transaction::commit() {
    const std::lock_guard lock(mutex_);
    for (const auto& [k, row] : written_) {
        const memory_row* now = table_.find(k);
        if ((now ? now->version : 0) != first_seen_.at(k)) return false;
    }
    table_.apply(std::move(written_));
    return true;
}

} // namespace pgstate::memory
