#include "config/resolved.hpp"

#include "config/connection_string.hpp"
#include "config/pool_settings.hpp"
#include "config/refuse.hpp"
#include "detail/utf8.hpp"
#include "pgstate/operations.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace pgstate::settings {
namespace {

constexpr std::size_t most_connections = 10'000;

// What a message calls a setting that can be given in two places.
constexpr std::string_view max_conns = "pool_max_conns (config.pool.max_conns)";
constexpr std::string_view min_conns = "pool_min_conns (config.pool.min_conns)";
constexpr std::string_view min_idle_conns = "pool_min_idle_conns (config.pool.min_idle_conns)";
constexpr std::string_view lifetime = "pool_max_conn_lifetime (config.pool.max_conn_lifetime)";
constexpr std::string_view jitter = "pool_max_conn_lifetime_jitter (config.pool.max_conn_lifetime_jitter)";
constexpr std::string_view idle_time = "pool_max_conn_idle_time (config.pool.max_conn_idle_time)";
constexpr std::string_view check_period = "pool_health_check_period (config.pool.health_check_period)";

[[noreturn]] void refuse_setting(std::string_view name, std::string_view rule, const std::string& value) {
    refuse(std::string(name).append(" must be ").append(rule).append("; it is ").append(value));
}

void check_range(std::string_view name, std::size_t value, std::size_t least, std::size_t most) {
    if (value >= least && value <= most) return;
    refuse_setting(name, std::to_string(least) + " to " + std::to_string(most), std::to_string(value));
}

void check_positive(std::string_view name, std::chrono::milliseconds& value) {
    if (value <= std::chrono::milliseconds(0))
        refuse_setting(name, "positive (a long duration for no limit)",
                       std::to_string(value.count()) + " ms");
    value = std::min(value, longest_duration);
}

void check_not_negative(std::string_view name, std::chrono::milliseconds& value) {
    if (value < std::chrono::milliseconds(0))
        refuse_setting(name, "0 or more", std::to_string(value.count()) + " ms");
    value = std::min(value, longest_duration);
}

template <typename Enum>
void check_enumerator(std::string_view name, Enum value, Enum last) {
    const auto number = static_cast<int>(value);
    if (number >= 0 && number <= static_cast<int>(last)) return;
    refuse_setting(name, "one of its enumerators", std::to_string(number));
}

void check(pool_config& pool) {
    if (pool.max_conns == 0)
        pool.max_conns = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 4, most_connections);
    check_range(max_conns, pool.max_conns, 1, most_connections);
    for (const auto& [name, value] :
         {std::pair(min_conns, pool.min_conns), std::pair(min_idle_conns, pool.min_idle_conns)}) {
        if (value > pool.max_conns)
            refuse_setting(name, "at most max_conns, " + std::to_string(pool.max_conns),
                           std::to_string(value));
    }

    check_positive(lifetime, pool.max_conn_lifetime);
    check_not_negative(jitter, pool.max_conn_lifetime_jitter);
    check_positive(idle_time, pool.max_conn_idle_time);
    check_positive(check_period, pool.health_check_period);
    check_positive("config.pool.connect_timeout", pool.connect_timeout);
    check_not_negative("config.pool.validate_after_idle", pool.validate_after_idle);
}

void check(batch_config& batch, std::size_t connections) {
    check_range("config.tuning.batch.max_operations", batch.max_operations, 1, 10'000);
    if (batch.max_bytes < 1024)
        refuse_setting("config.tuning.batch.max_bytes", "at least 1024", std::to_string(batch.max_bytes));
    check_range("config.tuning.batch.max_in_flight", batch.max_in_flight, 1, 16);
    if (batch.shards == 0)
        batch.shards = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1,
                                               std::max<std::size_t>(connections / 4, 1));
    check_range("config.tuning.batch.shards", batch.shards, 1, connections);
}

void check(const pending_config& pending) {
    check_range("config.pending.max_operations", pending.max_operations, 1, most_pending_operations);
    check_range("config.pending.max_bytes", pending.max_bytes, 1024, most_pending_bytes);
}

void check(const sweep_config& sweep) {
    using namespace std::chrono_literals;
    if (sweep.period != 0ms && (sweep.period < 100ms || sweep.period > 24h))
        refuse_setting("config.sweep.period", "0 (off) or 100 ms to 1 day",
                       std::to_string(sweep.period.count()) + " ms");
    check_range("config.sweep.batch", sweep.batch, 1, 10'000);
}

constexpr bool begins_setting_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/// Identifiers joined by dots, as PostgreSQL has it; of ASCII, so that upper and lower case are the same everywhere.
bool is_setting_name(std::string_view name) {
    bool first = true;
    for (const char c : name) {
        const bool fits =
            begins_setting_name(c) || (first ? false : (c >= '0' && c <= '9') || c == '$' || c == '.');
        if (!fits) return false;
        first = c == '.';
    }
    return !first;
}

std::string lower_case(std::string_view name) {
    std::string lower(name);
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return lower;
}

/// Messages never have a value, nor what should have been a name: it could be a value in the wrong place.
void check(const std::vector<session_setting>& given) {
    std::vector<std::string> names;
    for (const auto& each : given) {
        if (!is_setting_name(each.name))
            refuse("config.session_settings: the name at index " + std::to_string(names.size()) +
                   " is not one that a setting can have (letters, digits, _ and $, in parts joined by dots: "
                   "app.tenant_id)");
        auto name = lower_case(each.name);
        const auto refuse_it = [&](std::string_view why) {
            refuse("config.session_settings: \"" + each.name + "\" " + std::string(why));
        };
        if (std::ranges::find(names, name) != names.end()) refuse_it("is there twice");
        if (name == "client_encoding") refuse_it("is pgstate's own: all text is sent as UTF-8");
        switch (detail::check_text(each.value)) {
        case detail::text_fault::none: break;
        case detail::text_fault::nul:
            refuse_it("has a value with a NUL character, which PostgreSQL does not take");
            break;
        case detail::text_fault::not_utf8: refuse_it("has a value that is not valid UTF-8"); break;
        }
        names.push_back(std::move(name));
    }
}

} // namespace

resolved_config resolve(const config& input) {
    auto connection = split(input.connection_string);

    resolved_config resolved;
    resolved.libpq_conninfo = std::move(connection.libpq_conninfo);
    resolved.connect_timeout_given = connection.connect_timeout_given;
    resolved.pool = input.pool;
    for (const auto& setting : connection.pool_settings)
        apply(setting, resolved.pool);
    check(resolved.pool);

    resolved.batch = input.tuning.batch;
    check(resolved.batch, resolved.pool.max_conns);

    resolved.pending = input.pending;
    check(resolved.pending);

    resolved.schema = input.schema;
    check_enumerator("config.schema.migrate", input.schema.migrate, migrate_mode::off);
    check_enumerator("config.schema.indexes", input.schema.indexes, index_mode::lean);
    check_enumerator("config.schema.history", input.schema.history, history_layout::rows);
    if (input.schema.history == history_layout::rows) resolved.schema.checkpoints = true;

    resolved.history = input.history;
    if (input.history.checkpoint_every_save) resolved.schema.checkpoints = true;

    resolved.sweep = input.sweep;
    check(resolved.sweep);

    resolved.table = parse_table_name(input.table_name);
    resolved.operation_timeout = input.operation_timeout;
    check_not_negative("config.operation_timeout", resolved.operation_timeout);
    resolved.default_ttl = input.default_ttl;
    if (input.default_ttl < std::chrono::milliseconds(0) || input.default_ttl > max_ttl)
        refuse_setting("config.default_ttl", "0 (none) to 36,525 days",
                       std::to_string(input.default_ttl.count()) + " ms");
    resolved.statements = input.tuning.statements;
    check_enumerator("config.tuning.statements", input.tuning.statements, statement_mode::unnamed);

    resolved.lock_wait = input.tuning.lock_wait;
    if (resolved.lock_wait < std::chrono::milliseconds(0) || resolved.lock_wait > std::chrono::hours(24))
        refuse_setting("config.tuning.lock_wait", "0 to 24 hours",
                       std::to_string(resolved.lock_wait.count()) + " ms");

    resolved.session_settings = input.session_settings;
    check(resolved.session_settings);

    resolved.logger = input.logger;
    resolved.metrics = input.metrics;
    resolved.tracer = input.tracer;
    resolved.telemetry = input.telemetry;
    check_not_negative("config.telemetry.slow_operation", resolved.telemetry.slow_operation);
    return resolved;
}

} // namespace pgstate::settings
