#include "operation_routes.hpp"

#include "openapi.hpp"
#include "problem.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <prometheus/text_serializer.h>

#include <string>
#include <utility>

namespace session_server {
namespace {

namespace asio = boost::asio;

response text_response(std::string_view type, std::string body) {
    response made;
    made.headers.emplace_back("Content-Type", type);
    made.headers.emplace_back("Cache-Control", "no-store");
    made.body = std::move(body);
    return made;
}

response status_response(std::string_view status) {
    return text_response("application/json", boost::json::serialize(boost::json::object{{"status", status}}));
}

// Only that the process answers. A database that is down is no reason to restart the server.
asio::awaitable<response> alive(const request&, const parameters&) {
    co_return status_response("alive");
}

asio::awaitable<response> readiness(pgstate::state_store& store, std::chrono::milliseconds time,
                                    const std::atomic<bool>& leaving) {
    if (leaving) throw http_error(503, "the server is shutting down");
    const auto report = co_await store.health_check({.timeout = time});
    if (report.read_only) throw http_error(503, "the database is read-only");
    co_return status_response("ready");
}

asio::awaitable<response> measurements(std::shared_ptr<const prometheus::Collectable> metrics) {
    const prometheus::TextSerializer serializer;
    co_return text_response("text/plain; version=0.0.4; charset=utf-8",
                            serializer.Serialize(metrics->Collect()));
}

asio::awaitable<response> description(const request&, const parameters&) {
    co_return text_response("application/json", std::string(openapi_document()));
}

} // namespace

void add_operation_routes(router& routes, pgstate::state_store& store, std::chrono::milliseconds ready_time,
                          std::shared_ptr<const prometheus::Collectable> metrics,
                          const std::atomic<bool>& leaving) {
    const auto add = [&routes](std::string_view path, handler run) {
        routes.add({.method = "GET", .path = path, .admitted = admission::always, .run = std::move(run)});
    };
    add("/healthz", alive);
    add("/readyz", [&store, &leaving, ready_time](const request&, const parameters&) {
        return readiness(store, ready_time, leaving);
    });
    add("/metrics", [metrics](const request&, const parameters&) { return measurements(metrics); });
    add("/openapi.json", description);
}

} // namespace session_server
