#pragma once

#include "batch/operation_type.hpp"
#include "wire/statement.hpp"

#include <cstdint>
#include <optional>

namespace pgstate::sql {

/// What is known of a write that may have been applied.
struct write_evidence {
    wire::uuid name{};                        ///< of the statement that it was sent in
    std::optional<std::int64_t> if_version{}; ///< it was to be applied over this version only
    bool repeatable = false;                  ///< it may be applied twice
    bool fenced = false; ///< the server process that had it has ended: nothing more will happen
    /// A transaction horizon (pg_snapshot_xmin) that this run of the server had reached when the write was sent. Nothing:
    /// none is known, or another run of the server has read the row.
    std::optional<std::uint64_t> horizon{};

    bool exists = false;                     ///< there is a row, expired or not; if so:
    std::optional<wire::uuid> last_writer{}; ///< the name in it: of the last writer that had one
    std::int64_t version = 0;
    std::uint32_t xmin = 0; ///< the transaction that wrote it, the lower 32 bits of its number
    std::uint64_t next = 0; ///< a number that no transaction had when the row was read (pg_snapshot_xmax)
};

/// Was the write applied? Each rule holds for every order of the transactions involved:
///
/// - The row names the write: it was applied. Nobody else gives out its name. Writers without a name may have changed the
///   row since.
/// - Otherwise nothing is known before the write is fenced.
/// - The row names an earlier write of this store: not applied. A store sends the writes of a key one after the other, so
///   that the write would have overwritten that name, and writers that leave names alone would have left its own.
/// - The row has the version that the write was to replace: not applied, as every write draws a new version, and no version
///   is drawn twice.
/// - The row was written by a transaction below the horizon: not applied. That transaction was over before the write was
///   sent, and whoever had overwritten the write since would have a number at or above the horizon. Numbers are compared
///   as the server does, modulo 2^32, and only while less than 2^31 have been given out since the horizon: a frozen row
///   can then look new, but no new row looks old.
/// - Otherwise another writer has overwritten or erased whatever there was: nobody can tell.
batch::settlement judge(const write_evidence& evidence) noexcept;

} // namespace pgstate::sql
