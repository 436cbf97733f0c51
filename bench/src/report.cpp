#include "report.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

namespace bench {
namespace {

struct field {
    std::string_view name;
    std::string value; ///< as it stands in JSON
};

std::string text(std::string_view value) {
    return '"' + std::string(value) + '"'; // names of ours and versions: nothing to escape
}

std::string decimal(double value, int digits) {
    char out[64];
    std::snprintf(out, sizeof out, "%.*f", digits, value);
    return out;
}

std::string milliseconds(std::chrono::nanoseconds value) {
    return decimal(std::chrono::duration<double, std::milli>(value).count(), 3);
}

double peak_resident_megabytes() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    return static_cast<double>(used.ru_maxrss) / 1024;
}

std::vector<field> fields(const arguments& chosen, const outcome& counted, const circumstances& around) {
    const auto& latency = counted.latency;
    const auto operations = static_cast<double>(latency.count());
    std::string batch = "null";
    if (around.statements && *around.statements > 0)
        batch = decimal(operations / static_cast<double>(*around.statements), 2);
    return {
        {"op", text(chosen.op_name)},
        {"mode", text(chosen.mode_name)},
        {"token", text(chosen.token_name)},
        {"callers", std::to_string(chosen.callers)},
        {"threads", std::to_string(chosen.threads)},
        {"conns", std::to_string(around.connections)},
        {"indexes", text(chosen.indexes_name)},
        {"state_bytes", std::to_string(chosen.state_bytes)},
        {"seconds", decimal(counted.elapsed.count(), 3)},
        {"operations", std::to_string(latency.count())},
        {"errors", std::to_string(counted.errors)},
        {"ops_per_s", decimal(operations / counted.elapsed.count(), 0)},
        {"p50_ms", milliseconds(latency.quantile(0.5))},
        {"p90_ms", milliseconds(latency.quantile(0.9))},
        {"p99_ms", milliseconds(latency.quantile(0.99))},
        {"p999_ms", milliseconds(latency.quantile(0.999))},
        {"max_ms", milliseconds(latency.longest())},
        {"statements", around.statements ? std::to_string(*around.statements) : "null"},
        {"mean_batch", batch},
        {"rss_mb", decimal(peak_resident_megabytes(), 1)},
        {"telemetry", text(chosen.telemetry_name)},
        {"telemetry_ratio", around.telemetry_ratio ? decimal(*around.telemetry_ratio, 4) : "null"},
        {"durable", around.durable ? "true" : "false"},
        {"server", text(around.server_version)},
    };
}

void write_json(std::ostream& to, const std::vector<field>& all) {
    const char* before = "{";
    for (const auto& [name, value] : all) {
        to << before << '"' << name << "\":" << value;
        before = ",";
    }
    to << "}\n";
}

void write_table(std::ostream& to, const std::vector<field>& all) {
    std::string header;
    std::string row;
    for (const auto& [name, quoted] : all) {
        std::string value = quoted;
        std::erase(value, '"');
        const auto width = std::max(name.size(), value.size()) + 2;
        header.append(name).append(width - name.size(), ' ');
        row.append(value).append(width - value.size(), ' ');
    }
    to << header << '\n' << row << '\n';
}

} // namespace

void write_report(std::ostream& to, const arguments& chosen, const outcome& counted,
                  const circumstances& around) {
    const auto all = fields(chosen, counted, around);
    if (chosen.format == output_format::json)
        write_json(to, all);
    else
        write_table(to, all);
    to.flush();
}

} // namespace bench
