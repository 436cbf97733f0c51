#include "sql/settlement.hpp"

#include "sql/write_names.hpp"

#include <cstdint>

namespace pgstate::sql {
namespace {

/// Whether the transaction that wrote the row certainly has a lower number than the horizon.
bool below_horizon(const write_evidence& evidence) noexcept {
    constexpr std::uint64_t half = std::uint64_t{1} << 31;
    if (!evidence.horizon || evidence.next - *evidence.horizon >= half) return false;
    // PostgreSQL's TransactionIdPrecedes.
    return evidence.xmin - static_cast<std::uint32_t>(*evidence.horizon) >= half;
}

} // namespace

batch::settlement judge(const write_evidence& evidence) noexcept {
    using batch::settlement;
    const auto& last = evidence.last_writer;
    if (evidence.exists && last == evidence.name) return settlement::applied;
    if (!evidence.fenced) return settlement::open;
    if (evidence.repeatable) return settlement::not_applied;
    if (!evidence.exists) return settlement::unknown;
    if (last && write_names::earlier(*last, evidence.name)) return settlement::not_applied;
    if (evidence.if_version == evidence.version) return settlement::not_applied;
    if (below_horizon(evidence)) return settlement::not_applied;
    return settlement::unknown;
}

} // namespace pgstate::sql
