#include "postgres/operations/written_row.hpp"

#include <utility>

namespace pgstate::postgres {

std::string written_row::columns(bool with_expiry) {
    return std::string(erased_columns)
        .append(", t.version, t.created_at, t.updated_at")
        .append(with_expiry ? ", t.expires_at" : "");
}

result<saved> written_row::read(const batch::operation& what, const wire::rows& rows, int row,
                                bool with_expiry) {
    const auto agent = rows.text(row, agent_id);
    const auto session = rows.text(row, session_id);
    if (agent != what.agent_id || session != what.session_id)
        return stored_elsewhere(what.name(), what.agent_id, what.session_id, agent, session);
    return saved{rows.int8(row, version), rows.timestamptz(row, created_at),
                 rows.timestamptz(row, updated_at),
                 with_expiry ? expiry_in(rows, row, expires_at) : std::nullopt};
}

error stored_elsewhere(std::string_view operation, std::string_view agent_id, std::string_view session_id,
                       std::string_view stored_agent_id, std::string_view stored_session_id) {
    const auto key = [](std::string_view agent, std::string_view session) {
        return std::string("(\"").append(agent).append("\", \"").append(session).append("\")");
    };
    return {errc::corrupt_state, operation,
            "the state of " + key(agent_id, session_id) + " was written to the row of " +
                key(stored_agent_id, stored_session_id) +
                ": a trigger of the table changes keys, or the collation of its key takes them for the same"};
}

error write_suppressed(std::string_view operation) {
    return {
        errc::schema_mismatch, operation,
        "the row was neither written nor found in the way: a trigger, a rule or a row-level security policy "
        "of the table suppresses the write or hides the row, or other writers create and erase it all the "
        "time"};
}

std::optional<timestamp> expiry_in(const wire::rows& rows, int row, int column) {
    if (rows.is_null(row, column)) return std::nullopt;
    return rows.timestamptz(row, column);
}

batch::command writing_type::build(const batch::operation_list& operations) const {
    auto made = build_without_name(operations);
    const auto name = table_.next_write_name();
    for (const auto& each : operations)
        each->write_name = name;
    const auto& kept = operations.front()->write_name;
    if (leaves_name()) made.values.add_uuid_in_place(kept);
    if (made.lock && made.lock->parameters.size() > made.lock_values.size())
        made.lock_values.add_uuid_in_place(kept); // it creates rows
    return made;
}

std::vector<int> writing_type::pair(const batch::operation_list& operations, const wire::rows& rows) const {
    if (operations.size() == 1) return {sql::only_row(rows)};
    return by_ == pairing::ordinal ? sql::pair_by_ordinal(operations, rows, rows.columns() - 1)
                                   : sql::pair_in_order(operations, rows, written_row::agent_id);
}

std::optional<std::uint64_t> writing_type::horizon(const wire::rows& rows) const {
    if (rows.size() == 0) return std::nullopt;
    return rows.xid8(0, written_row::horizon);
}

} // namespace pgstate::postgres
