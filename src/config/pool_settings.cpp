#include "config/pool_settings.hpp"

#include "config/duration.hpp"
#include "config/number.hpp"
#include "config/refuse.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>

namespace pgstate::settings {
namespace {

using count_member = std::size_t pool_config::*;
using duration_member = std::chrono::milliseconds pool_config::*;

struct known_setting {
    std::string_view name;
    std::variant<count_member, duration_member> member;
};

constexpr std::array<known_setting, 7> known_settings{{
    {"pool_max_conns", &pool_config::max_conns},
    {"pool_min_conns", &pool_config::min_conns},
    {"pool_min_idle_conns", &pool_config::min_idle_conns},
    {"pool_max_conn_lifetime", &pool_config::max_conn_lifetime},
    {"pool_max_conn_lifetime_jitter", &pool_config::max_conn_lifetime_jitter},
    {"pool_max_conn_idle_time", &pool_config::max_conn_idle_time},
    {"pool_health_check_period", &pool_config::health_check_period},
}};

/// `text` for a message, unless it can be more than a number or a name: a slip of the pen can draw a password into it.
std::string shown(std::string_view text, std::string_view otherwise) {
    const auto harmless = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
               c == '_' || c == '-' || c == '+';
    };
    constexpr std::size_t longest_shown = 40;
    if (text.empty() || text.size() > longest_shown || !std::all_of(text.begin(), text.end(), harmless))
        return std::string(otherwise);
    return std::string("\"").append(text).append("\"");
}

[[noreturn]] void refuse_value(const pool_setting& setting, std::string_view rule) {
    refuse(std::string(setting.name)
               .append(" in connection_string must be ")
               .append(rule)
               .append(", not ")
               .append(shown(setting.value, setting.value.empty() ? "empty" : "what it is")));
}

[[noreturn]] void refuse_name(const pool_setting& setting) {
    std::string message = "connection_string has an unknown pool setting, ";
    message += shown(setting.name, "one with odd characters in its name");
    message += "; the known ones are";
    for (const auto& known : known_settings)
        message.append(&known == &known_settings.front() ? " " : ", ").append(known.name);
    refuse(message);
}

void assign(const pool_setting& setting, std::size_t& count) {
    const auto value = parse_number(setting.value);
    if (!value) refuse_value(setting, "a whole number from 0 to 10000");
    count =
        static_cast<std::size_t>(std::min<std::uint64_t>(*value, std::numeric_limits<std::size_t>::max()));
}

void assign(const pool_setting& setting, std::chrono::milliseconds& duration) {
    const auto value = parse_duration(setting.value);
    if (!value)
        refuse_value(setting, "a duration such as 1h30m, 90s or 500ms, neither negative nor over 292 years");
    duration = *value;
}

} // namespace

void apply(const pool_setting& setting, pool_config& pool) {
    const auto* known =
        std::find_if(known_settings.begin(), known_settings.end(),
                     [&](const known_setting& candidate) { return candidate.name == setting.name; });
    if (known == known_settings.end()) refuse_name(setting);
    std::visit([&](auto member) { assign(setting, pool.*member); }, known->member);
}

} // namespace pgstate::settings
