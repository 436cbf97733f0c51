#include "sql/target_table.hpp"

#include "pgstate/error.hpp"

#include <chrono>
#include <utility>

namespace pgstate::sql {
namespace {

/// In the place of the table's size: the number that is none.
constexpr std::string_view no_size = "-1::bigint";

constexpr std::string_view lookup_settings =
    "set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), "
    "set_config('enable_mergejoin', 'off', true)";

histories with_checkpoints(const settings::table_identifier& table, histories where) {
    where.checkpoints = table.quoted_related("checkpoints");
    return where;
}

} // namespace

target_table::target_table(const settings::table_identifier& table, session_settings settings,
                           histories where)
    : sql_(table.quoted(), table_sql::writer::named, with_checkpoints(table, std::move(where))),
      settings_(std::move(settings)) {
    const auto size = "pg_relation_size(" + quote_literal(sql_.table()) + "::regclass)";
    size_ = setting_preamble("size", size, settings_);
    lookups_only_ = setting_preamble("lookups_only", size, settings_, lookup_settings);
    exact_doubles_ =
        setting_preamble("doubles", size, settings_, "set_config('extra_float_digits', '1', true)");
    if (!settings_.empty()) settings_only_ = setting_preamble("settings", no_size, settings_);
}

/// True once a second, for one caller.
bool target_table::time_to_look() noexcept {
    using namespace std::chrono_literals;
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    auto due = next_look_.load(std::memory_order_relaxed);
    return now.count() >= due &&
           next_look_.compare_exchange_strong(due, (now + std::chrono::nanoseconds(1s)).count(),
                                              std::memory_order_relaxed);
}

const wire::preamble* target_table::before() noexcept {
    return time_to_look() ? &size_ : before_others();
}

void target_table::learn(const wire::rows& before) noexcept {
    try {
        const auto size = before.is_null(0, 0) ? 0 : before.int8(0, 0);
        if (size < 0) return; // settings_only_
        const bool is_large = size >= large_size;
        if (is_large != large()) large_.store(is_large, std::memory_order_relaxed);
    } catch (const error&) {
        // The answer is no size: what was known stays.
    }
}

} // namespace pgstate::sql
