#include "document.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <utility>

namespace json = boost::json;

namespace bench {
namespace {

using std::chrono::microseconds;

std::string rfc3339(pgstate::timestamp when) {
    const auto day = std::chrono::floor<std::chrono::days>(when);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss time(when - day);
    char text[48];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                  static_cast<int>(time.seconds().count()), static_cast<int>(time.subseconds().count()));
    return text;
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

int number_at(std::string_view text, std::size_t from, std::size_t digits) {
    int value = 0;
    for (const char c : text.substr(from, digits)) {
        if (!is_digit(c)) throw std::runtime_error("not a time: " + std::string(text));
        value = value * 10 + (c - '0');
    }
    return value;
}

microseconds fraction_at(std::string_view text, std::size_t from) {
    int value = 0;
    int unit = 1'000'000;
    for (; unit > 1 && from < text.size() && is_digit(text[from]); ++from) {
        unit /= 10;
        value += (text[from] - '0') * unit;
    }
    return microseconds(value);
}

pgstate::timestamp time_of(const json::value& value) {
    return parse_time(value.as_string());
}

std::string text_of(const json::value& value) {
    return std::string(std::string_view(value.as_string()));
}

pgstate::agent_message message_of(json::object& from) {
    pgstate::agent_message message(text_of(from.at("role")), text_of(from.at("content")),
                                   time_of(from.at("timestamp")));
    if (auto* metadata = from.if_contains("metadata")) message.metadata = std::move(metadata->as_object());
    return message;
}

} // namespace

std::string to_document(const pgstate::agent_state& state) {
    json::array history;
    history.reserve(state.history.size());
    for (const auto& message : state.history) {
        json::object entry{
            {"role", message.role}, {"content", message.content}, {"timestamp", rfc3339(message.timestamp)}};
        if (!message.metadata.empty()) entry["metadata"] = message.metadata;
        history.push_back(std::move(entry));
    }
    const auto now = rfc3339(std::chrono::floor<microseconds>(std::chrono::system_clock::now()));
    json::object document{
        {"agent_id", state.agent_id},
        {"session_id", state.session_id},
        {"version", state.version},
        {"data", state.data},
        {"context", state.context},
        {"created_at", state.created_at == pgstate::timestamp{} ? now : rfc3339(state.created_at)},
        {"updated_at", now}};
    document["history"] = std::move(history);
    return json::serialize(document);
}

pgstate::agent_state from_document(std::string_view text) {
    json::value parsed = json::parse(json::string_view(text.data(), text.size()));
    auto& document = parsed.as_object();
    pgstate::agent_state state(text_of(document.at("agent_id")), text_of(document.at("session_id")));
    state.data = std::move(document.at("data").as_object());
    state.context = std::move(document.at("context").as_object());
    auto& history = document.at("history").as_array();
    state.history.reserve(history.size());
    for (auto& message : history)
        state.history.push_back(message_of(message.as_object()));
    return state;
}

pgstate::timestamp parse_time(std::string_view text) {
    using namespace std::chrono;
    if (text.size() < 19) throw std::runtime_error("not a time: " + std::string(text));
    const year_month_day date{year(number_at(text, 0, 4)),
                              month(static_cast<unsigned>(number_at(text, 5, 2))),
                              day(static_cast<unsigned>(number_at(text, 8, 2)))};
    pgstate::timestamp when = sys_days(date) + hours(number_at(text, 11, 2)) +
                              minutes(number_at(text, 14, 2)) + std::chrono::seconds(number_at(text, 17, 2));
    if (text.size() > 20 && text[19] == '.') when += fraction_at(text, 20);
    return when;
}

} // namespace bench
