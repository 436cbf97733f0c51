#include "log.hpp"

#include <pgstate/rfc3339.hpp>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace session_server {
namespace {

namespace json = boost::json;

constexpr std::string_view request_log_name = "http";

std::string_view text_of(spdlog::string_view_t text) {
    return {text.data(), text.size()};
}

/// spdlog's patterns cannot escape what they insert, so this is a formatter of its own.
class json_lines final : public spdlog::formatter {
public:
    void format(const spdlog::details::log_msg& record, spdlog::memory_buf_t& line) override {
        const auto when = std::chrono::floor<std::chrono::microseconds>(record.time);
        json::object members{{"time", pgstate::to_rfc3339(when)},
                             {"level", text_of(spdlog::level::to_string_view(record.level))},
                             {"logger", text_of(record.logger_name)}};
        auto message = text_of(record.payload);
        std::string text;
        if (text_of(record.logger_name) == request_log_name) {
            text = json::serialize(members);
            text.back() = ','; // and the members of the message, which is an object that is not empty
            text += message.substr(1);
        } else {
            members["message"] = message;
            text = json::serialize(members);
        }
        text += '\n';
        line.append(text.data(), text.data() + text.size());
    }

    std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<json_lines>(); }
};

} // namespace

logs make_logs(spdlog::level::level_enum level) {
    const auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_formatter(std::make_unique<json_lines>());
    const auto logger = [&](std::string_view name) {
        auto made = std::make_shared<spdlog::logger>(std::string(name), sink);
        made->set_level(level);
        return made;
    };
    return {.server = logger("server"), .store = logger("pgstate"), .requests = logger(request_log_name)};
}

} // namespace session_server
