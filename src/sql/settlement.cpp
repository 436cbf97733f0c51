#include "sql/settlement.hpp"

#include "sql/write_names.hpp"

namespace pgstate::sql {
namespace {

/// Whether transaction `xmin` has a lower number than `horizon` (PostgreSQL's TransactionIdPrecedes).
bool precedes(std::uint32_t xmin, std::uint64_t horizon) noexcept {
    return static_cast<std::int32_t>(xmin - static_cast<std::uint32_t>(horizon)) < 0;
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
    if (evidence.horizon && precedes(evidence.xmin, *evidence.horizon)) return settlement::not_applied;
    return settlement::unknown;
}

} // namespace pgstate::sql
