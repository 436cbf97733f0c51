#include "telemetry/names.hpp"

#include <boost/asio/error.hpp>

#include <array>

namespace pgstate::telemetry {
namespace {

constexpr std::string_view prefix = "pgstate.";
constexpr std::array<std::string_view, operation_ids> span_names = {
    "pgstate.save",        "pgstate.load",        "pgstate.erase",           "pgstate.touch",
    "pgstate.append",      "pgstate.merge",       "pgstate.increment",       "pgstate.list",
    "pgstate.list_agents", "pgstate.find",        "pgstate.count",           "pgstate.health_check",
    "pgstate.checkpoint",  "pgstate.checkpoints", "pgstate.restore",         "pgstate.fork",
    "pgstate.prune",       "pgstate.transaction", "pgstate.with_connection", "pgstate.open",
    "pgstate.sweep"};

/// By errc, which counts from 1.
constexpr std::array<std::string_view, 13> errc_names = {
    "_OTHER",         "invalid_argument", "not_found",       "conflict",        "timed_out",
    "pool_exhausted", "unavailable",      "outcome_unknown", "schema_mismatch", "corrupt_state",
    "closed",         "callback_failed",  "overloaded"};
static_assert(static_cast<std::size_t>(errc::overloaded) + 1 == errc_names.size());

} // namespace

std::string_view span_name_of(operation_id what) noexcept {
    return span_names[static_cast<std::size_t>(what)];
}

std::string_view name_of(operation_id what) noexcept {
    return span_name_of(what).substr(prefix.size());
}

std::string error_type(const error& failure) {
    const auto& code = failure.code();
    if (code == boost::asio::error::operation_aborted) return "cancelled";
    const auto at = static_cast<std::size_t>(code.value());
    if (code.category() == pgstate_category())
        return std::string(errc_names[at < errc_names.size() ? at : 0]);
    if (code.category() == sqlstate_category() && !failure.sqlstate().empty()) return failure.sqlstate();
    return "_OTHER";
}

std::string hash_of(std::string_view id) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char c : id)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    std::string digits(16, '0');
    for (auto at = digits.rbegin(); at != digits.rend(); ++at, hash >>= 4U)
        *at = "0123456789abcdef"[hash & 0xfU];
    return digits;
}

} // namespace pgstate::telemetry
