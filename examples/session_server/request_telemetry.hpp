#ifndef SESSION_SERVER_REQUEST_TELEMETRY_HPP
#define SESSION_SERVER_REQUEST_TELEMETRY_HPP

#include "log.hpp"

#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace session_server {

/// A request that was answered. Neither a target nor a body: ids of agents are nobody's business in a log, and as labels
/// they would be as many series.
struct finished_request {
    std::string_view id;
    std::string_view method;
    std::string_view route;
    unsigned status = 0;
    std::chrono::steady_clock::duration duration{}; ///< from its first byte to the last of the answer
    std::size_t bytes_received = 0;                 ///< of the body
    std::size_t bytes_sent = 0;                     ///< of the body
};

/// Logs and measures requests. The registry and the logger outlive it.
/// Thread safety: all members.
class request_telemetry {
public:
    request_telemetry(prometheus::Registry& registry, json_logger& log);

    void record(const finished_request& request);
    prometheus::Gauge& connections() noexcept { return connections_; }
    prometheus::Gauge& under_way() noexcept { return under_way_; }

private:
    prometheus::Family<prometheus::Histogram>& durations_;
    prometheus::Gauge& connections_;
    prometheus::Gauge& under_way_;
    json_logger& log_;
};

} // namespace session_server

#endif
