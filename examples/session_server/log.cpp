#include "log.hpp"

#include <pgstate/rfc3339.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <functional>
#include <span>
#include <type_traits>
#include <variant>

namespace session_server {
namespace {

namespace json = boost::json;

/// pgstate's levels come in the same order.
spdlog::level::level_enum level_of(pgstate::log_level level) {
    return static_cast<spdlog::level::level_enum>(level);
}

/// Messages of a server or of the system may be in another encoding than UTF-8, which JSON is in.
std::string quoted(std::string_view text) {
    auto made = json::serialize(json::value(text));
    const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
    boost::system::error_code failure;
    if (!std::all_of(made.begin(), made.end(), is_ascii)) json::parse(made, failure);
    if (failure) std::replace_if(made.begin(), made.end(), std::not_fn(is_ascii), '?');
    return made;
}

void append_value(std::string& line, const pgstate::attribute_value& value) {
    std::visit(
        [&line](const auto& held) {
            using held_type = std::decay_t<decltype(held)>;
            if constexpr (std::is_same_v<held_type, std::string_view>) {
                line += quoted(held);
            } else if constexpr (!std::is_same_v<held_type, double>) {
                line += json::serialize(json::value(held));
            } else if (std::isfinite(held)) {
                char digits[400]; // the largest has 309, the smallest 343 with its zeros
                line.append(
                    digits,
                    std::to_chars(digits, digits + sizeof digits, held, std::chars_format::fixed).ptr);
            } else {
                line += "null";
            }
        },
        value);
}

void append_member(std::string& line, std::string_view name, const pgstate::attribute_value& value) {
    line += line.empty() ? '{' : ',';
    line += quoted(name);
    line += ':';
    append_value(line, value);
}

} // namespace

bool json_logger::enabled(pgstate::log_level level) const {
    return lines_->should_log(level_of(level));
}

void json_logger::log(const pgstate::log_record& record) {
    const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    std::string line;
    append_member(line, "time", std::string_view(pgstate::to_rfc3339(now)));
    append_member(line, "level", to_string(record.level));
    append_member(line, "logger", std::string_view(lines_->name()));
    append_member(line, "message", record.message);
    for (const auto& [name, value] : record.attributes)
        append_member(line, name, value);
    line += '}';
    // As a view it is taken to the letter; as anything else it might be a format string.
    lines_->log(level_of(record.level), spdlog::string_view_t(line.data(), line.size()));
}

void json_logger::write(pgstate::log_level level, std::string_view message,
                        std::initializer_list<pgstate::attribute> attributes) {
    if (enabled(level)) log({.level = level, .message = message, .attributes = std::span(attributes)});
}

logs make_logs(spdlog::level::level_enum level) {
    const auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_pattern("%v");
    const auto logger = [&](const char* name) {
        auto lines = std::make_shared<spdlog::logger>(name, sink);
        lines->set_level(level);
        return std::make_shared<json_logger>(std::move(lines));
    };
    return {.server = logger("server"), .store = logger("pgstate"), .requests = logger("http")};
}

} // namespace session_server
