#include "request_telemetry.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace session_server {
namespace {

// Methods are chosen by the client: any others share a label.
std::string_view label_of(std::string_view method) {
    constexpr std::array<std::string_view, 6> known{"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"};
    return std::find(known.begin(), known.end(), method) != known.end() ? method : "_OTHER";
}

// OpenTelemetry's for http.server.request.duration, in seconds.
prometheus::Histogram::BucketBoundaries buckets() {
    return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10};
}

prometheus::Gauge& gauge(prometheus::Registry& registry, const std::string& name, const std::string& help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

pgstate::log_level level_of(unsigned status) {
    return status >= 500 ? pgstate::log_level::warn : pgstate::log_level::info;
}

} // namespace

request_telemetry::request_telemetry(prometheus::Registry& registry, json_logger& log)
    : durations_(prometheus::BuildHistogram()
                     .Name("http_server_request_duration_seconds")
                     .Help("From a request's first byte to the last of its answer")
                     .Register(registry)),
      connections_(gauge(registry, "http_server_open_connections", "Clients' connections")),
      under_way_(gauge(registry, "http_server_active_requests", "Requests that are being answered")),
      log_(log) {}

void request_telemetry::record(const finished_request& request) {
    const std::chrono::duration<double> seconds = request.duration;
    durations_
        .Add({{"http_request_method", std::string(label_of(request.method))},
              {"http_route", std::string(request.route)},
              {"http_response_status_code", std::to_string(request.status)}},
             buckets())
        .Observe(seconds.count());

    log_.write(level_of(request.status), "request",
               {{"request_id", request.id},
                {"method", label_of(request.method)},
                {"route", request.route},
                {"status", std::int64_t{request.status}},
                {"duration_ms", std::round(seconds.count() * 1e6) / 1e3},
                {"bytes_received", static_cast<std::int64_t>(request.bytes_received)},
                {"bytes_sent", static_cast<std::int64_t>(request.bytes_sent)}});
}

} // namespace session_server
