// A store with all three adapters does some work with faults in it; then what came out at their ends is read.

#include "adapters/scrape.hpp"
#include "pgstate/adapters/opentelemetry.hpp"
#include "pgstate/adapters/prometheus.hpp"
#include "pgstate/adapters/spdlog.hpp"
#include "pgstate/pgstate.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <catch2/catch_test_macros.hpp>
#include <opentelemetry/exporters/memory/in_memory_span_data.h>
#include <opentelemetry/exporters/memory/in_memory_span_exporter.h>
#include <opentelemetry/sdk/trace/simple_processor.h>
#include <opentelemetry/sdk/trace/span_data.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <prometheus/exposer.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace pgstate_test;
namespace otel = ::opentelemetry;

constexpr auto canary = "canary-51c9";
constexpr int writers = 30;

/// What came out.
struct outputs {
    samples scraped;
    std::string exposition;
    std::vector<std::unique_ptr<otel::sdk::trace::SpanData>> spans;
    std::string log;
    std::string password;
    pgstate::store_stats stats;
};

std::string text_of_attribute(const otel::sdk::common::OwnedAttributeValue& value) {
    if (const auto* text = otel::nostd::get_if<std::string>(&value)) return *text;
    if (const auto* number = otel::nostd::get_if<std::int64_t>(&value)) return std::to_string(*number);
    return "?";
}

std::string attribute_of(const otel::sdk::trace::SpanData& span, const std::string& key) {
    const auto& all = span.GetAttributes();
    const auto at = all.find(key);
    return at == all.end() ? std::string() : text_of_attribute(at->second);
}

pgstate::agent_state secret_state(const std::string& session) {
    pgstate::agent_state state("agent", session);
    state.data["secret"] = canary;
    state.history.emplace_back("user", canary);
    return state;
}

outputs work_with_faults() {
    outputs out;
    auto exporter = std::make_unique<otel::exporter::memory::InMemorySpanExporter>();
    const auto data = exporter->GetData();
    const auto provider = std::make_shared<otel::sdk::trace::TracerProvider>(
        std::make_unique<otel::sdk::trace::SimpleSpanProcessor>(std::move(exporter)));
    const auto metrics = std::make_shared<pgstate::prometheus_metrics>();
    ::prometheus::Exposer exposer("127.0.0.1:0");
    exposer.RegisterCollectable(metrics);
    std::ostringstream written;
    const auto logger = std::make_shared<spdlog::logger>(
        "pgstate", std::make_shared<spdlog::sinks::ostream_sink_mt>(written));
    logger->set_level(spdlog::level::trace);

    pgstate::config config;
    config.connection_string = server().tcp_connection_string(fresh_database_name());
    config.pool.max_conns = 2;
    config.logger = std::make_shared<pgstate::spdlog_logger>(logger);
    config.metrics = metrics;
    config.tracer = std::make_shared<pgstate::opentelemetry_tracer>(provider->GetTracer("test"));
    const auto at = config.connection_string.find('@');
    const auto colon = config.connection_string.rfind(':', at);
    out.password = config.connection_string.substr(colon + 1, at - colon - 1);

    asio::io_context context;
    auto store = wait(context, pgstate::postgres_store::open(context.get_executor(), config));
    successes saves;
    for (int i = 0; i < writers; ++i)
        store.save(secret_state(std::to_string(i)), saves.handler());
    run_until(context, [&] { return saves.count == writers; });
    for (int i = 0; i < 3; ++i)
        wait(context, store.load("agent", std::to_string(i)));
    const auto stale = secret_state("0"); // as if it were new
    const auto conflict = wait(context, store.save(stale, {.if_unchanged = true}, pgstate::as_result));
    CHECK(conflict.error() == pgstate::errc::conflict);
    // The server ends every connection; the next load needs another.
    pqxx::connection other(config.connection_string);
    pqxx::nontransaction(other).exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                     " WHERE datname = current_database() AND pid <> pg_backend_pid()");
    CHECK(wait(context, store.load("agent", "1")));
    out.exposition = http_get(exposer.GetListeningPorts().front(), "/metrics");
    out.stats = store.stats();
    wait(context, store.close());
    context.restart();
    context.run();
    out.scraped = parse_exposition(out.exposition);
    out.spans = data->GetSpans();
    logger->flush();
    out.log = written.str();
    return out;
}

double sum_of(const samples& all, std::string_view name, std::string_view label = {}) {
    double sum = 0;
    for (const auto& [key, value] : all)
        if (key.substr(0, key.find('{')) == name && key.find(label) != std::string::npos) sum += value;
    return sum;
}

} // namespace

TEST_CASE("what comes out of the adapters fits the work that was done, and tells no secrets", "[adapters]") {
    const auto out = work_with_faults();

    SECTION("a scrape over HTTP") {
        const auto& all = out.scraped;
        CHECK(sum_of(all, "db_client_operation_duration_seconds_count", "db_operation_name=\"save\"") ==
              writers + 1);
        CHECK(sum_of(all, "db_client_operation_duration_seconds_count", "error_type=\"conflict\"") == 1);
        CHECK(sum_of(all, "db_client_operation_duration_seconds_count", "db_operation_name=\"load\"") == 4);
        CHECK(sum_of(all, "db_client_operation_duration_seconds_sum", "db_operation_name=\"load\"") > 0);
        CHECK(sum_of(all, "pgstate_batch_size_sum", "db_operation_name=\"save\"") >= writers + 1);
        CHECK(sum_of(all, "pgstate_conflicts_total") == 1);
        CHECK(sum_of(all, "pgstate_queue_depth") == 0);
        CHECK(sum_of(all, "pgstate_io_bytes_total", "network_io_direction=\"transmit\"") ==
              static_cast<double>(out.stats.bytes_sent));
        CHECK(sum_of(all, "db_client_connection_max") == 2);
        CHECK(sum_of(all, "db_client_connection_count") >= 1);
        CHECK(sum_of(all, "db_client_connection_create_time_seconds_count") >= 2);
        CHECK(sum_of(all, "db_client_connection_timeouts_total") == 0);
        // No label has an agent or a session.
        CHECK(out.exposition.find("\"agent\"") == std::string::npos);
    }
    SECTION("the spans of an exporter") {
        std::map<std::string, const otel::sdk::trace::SpanData*> by_id;
        std::size_t saves = 0;
        std::size_t linked = 0;
        std::size_t within = 0;
        const auto id_of = [](const otel::trace::SpanId& id) {
            char text[16];
            id.ToLowerBase16(text);
            return std::string(text, sizeof text);
        };
        for (const auto& each : out.spans)
            by_id[id_of(each->GetSpanId())] = each.get();
        for (const auto& each : out.spans) {
            const std::string name(each->GetName());
            CHECK(each->GetDuration().count() >= 0);
            if (name == "pgstate.save") ++saves;
            if (each->GetSpanKind() == otel::trace::SpanKind::kClient && name != "pgstate.connect") {
                CHECK(attribute_of(*each, "db.system.name") == "postgresql");
                CHECK(attribute_of(*each, "db.collection.name") == "agent_states");
            }
            for (const auto& link : each->GetLinks()) {
                const auto to = by_id.find(id_of(link.GetSpanContext().span_id()));
                REQUIRE(to != by_id.end());
                CHECK(to->second->GetName() == "pgstate.save");
                ++linked;
            }
            const auto parent = by_id.find(id_of(each->GetParentSpanId()));
            if (name == "SELECT agent_states" && parent != by_id.end()) {
                ++within;
                CHECK(parent->second->GetTraceId() == each->GetTraceId());
                CHECK(parent->second->GetDuration() >= each->GetDuration());
            }
            if (attribute_of(*each, "error.type") == "conflict")
                CHECK(each->GetStatus() == otel::trace::StatusCode::kError);
        }
        CHECK(saves == writers + 1);
        CHECK(linked > 1);
        CHECK(within >= 4);
    }
    SECTION("the lines of a log") {
        CHECK(out.log.find("connected") != std::string::npos);
        CHECK(out.log.find("operation failed") != std::string::npos);
        CHECK(out.log.find("error.type=conflict") != std::string::npos);
        CHECK(out.log.find("db.operation.name=save") != std::string::npos);
        CHECK(out.log.find("store opened") != std::string::npos);
        CHECK(out.log.find("store closed") != std::string::npos);
    }
    SECTION("no secrets") {
        std::string everything = out.log + out.exposition;
        const auto add = [&](const auto& attributes) {
            for (const auto& [key, value] : attributes)
                everything.append(key).append(text_of_attribute(value));
        };
        for (const auto& each : out.spans) {
            everything.append(std::string(each->GetName())).append(std::string(each->GetDescription()));
            add(each->GetAttributes());
            for (const auto& event : each->GetEvents()) {
                everything.append(std::string(event.GetName()));
                add(event.GetAttributes());
            }
        }
        REQUIRE(out.password.size() > 8);
        CHECK(everything.find(out.password) == std::string::npos);
        CHECK(everything.find(canary) == std::string::npos);
    }
}
