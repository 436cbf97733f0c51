#include "postgres/operations/written_row.hpp"

#include <utility>

namespace pgstate::postgres {

std::string written_row::columns(bool with_expiry) {
    return std::string(erased_columns)
        .append(", t.version, t.created_at, t.updated_at")
        .append(with_expiry ? ", t.expires_at" : "");
}

saved written_row::read(const wire::rows& rows, int row, bool with_expiry) {
    return {rows.int8(row, version), rows.timestamptz(row, created_at), rows.timestamptz(row, updated_at),
            with_expiry ? expiry_in(rows, row, expires_at) : std::nullopt};
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
    if (leaves_name()) made.values.add_uuid_in_place(operations.front()->write_name);
    return made;
}

std::vector<int> writing_type::pair(const batch::operation_list& operations, const wire::rows& rows) const {
    return operations.size() == 1 ? std::vector{sql::only_row(rows)}
                                  : sql::pair_by_key(operations, rows, written_row::agent_id);
}

std::optional<std::uint64_t> writing_type::horizon(const wire::rows& rows) const {
    if (rows.size() == 0) return std::nullopt;
    return rows.xid8(0, written_row::horizon);
}

} // namespace pgstate::postgres
