#include "store/settlement.hpp"

#include <random>

namespace pgstate::store {
namespace {

std::int64_t draw() {
    std::random_device device;
    std::uniform_int_distribution<std::int64_t> store(1, (std::int64_t{1} << 31) - 2);
    return store(device) << 32;
}

} // namespace

write_names::write_names() : last_(draw()) {}

std::int64_t write_names::next() noexcept {
    // Counting over the end gives the number after the store's own, which is as good as drawn.
    return last_.fetch_add(1, std::memory_order_relaxed) + 1;
}

batch::settlement judge(const write_evidence& evidence) noexcept {
    using batch::settlement;
    const auto& last = evidence.last_writer;
    if (evidence.there && last == evidence.name) return settlement::applied;
    if (!evidence.fenced) return settlement::open;
    if (!evidence.there) return settlement::unknown;
    if (last && write_names::earlier(*last, evidence.name)) return settlement::not_applied;
    if (evidence.if_version && *evidence.if_version == evidence.version) return settlement::not_applied;
    return evidence.version < evidence.sent ? settlement::not_applied : settlement::unknown;
}

} // namespace pgstate::store
