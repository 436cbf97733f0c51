#pragma once

#include "memory/table.hpp"
#include "pgstate/transaction.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>

namespace pgstate::memory {

/// A transaction over a table: its writes gather beside the table until `commit`. Others may write meanwhile;
/// where they wrote a row that this transaction wrote too, it cannot be committed.
class memory_transaction final : public pgstate::transaction {
public:
    memory_transaction(table& table, std::mutex& mutex) : table_(table), mutex_(mutex) {}
    ~memory_transaction() override;

    saved save(const agent_state& state, save_options options) override;
    std::optional<agent_state> load(std::string_view agent_id, std::string_view session_id) override;
    bool erase(std::string_view agent_id, std::string_view session_id) override;
    pqxx::transaction_base& sql() override;

    /// False, and nothing written, when another writer was faster.
    bool commit();

private:
    saved do_save(const detail::encoded_state& state, save_options options) override;

    /// The row as this transaction sees it; notes its version on the first touch. The mutex must be held.
    const memory_row* see(const table::key& k);

    table& table_;
    std::mutex& mutex_;
    table::changes written_;
    std::map<table::key, std::int64_t> first_seen_; ///< versions, 0 for none
};

} // namespace pgstate::memory
