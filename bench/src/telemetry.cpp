#include "telemetry.hpp"

#ifdef PGSTATE_BENCH_SPDLOG
#    include "pgstate/adapters/spdlog.hpp"

#    include <spdlog/logger.h>
#    include <spdlog/sinks/basic_file_sink.h>
#endif
#ifdef PGSTATE_BENCH_PROMETHEUS
#    include "pgstate/adapters/prometheus.hpp"
#endif
#ifdef PGSTATE_BENCH_OPENTELEMETRY
#    include "pgstate/adapters/opentelemetry.hpp"

#    include <opentelemetry/sdk/trace/batch_span_processor_factory.h>
#    include <opentelemetry/sdk/trace/batch_span_processor_options.h>
#    include <opentelemetry/sdk/trace/exporter.h>
#    include <opentelemetry/sdk/trace/span_data.h>
#    include <opentelemetry/sdk/trace/tracer_provider.h>
#    include <opentelemetry/sdk/trace/tracer_provider_factory.h>
#endif

#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace bench {
namespace {

[[maybe_unused]] [[noreturn]] void missing(const std::string& adapter) {
    throw usage_error("--telemetry: the adapter for " + adapter + " was not built");
}

void log_with_spdlog(pgstate::config& to) {
#ifdef PGSTATE_BENCH_SPDLOG
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>("/dev/null");
    auto logger = std::make_shared<spdlog::logger>("pgstate", std::move(sink));
    logger->set_level(spdlog::level::info);
    to.logger = std::make_shared<pgstate::spdlog_logger>(std::move(logger));
#else
    static_cast<void>(to);
    missing("spdlog");
#endif
}

void count_with_prometheus(pgstate::config& to) {
#ifdef PGSTATE_BENCH_PROMETHEUS
    to.metrics = std::make_shared<pgstate::prometheus_metrics>();
#else
    static_cast<void>(to);
    missing("Prometheus");
#endif
}

#ifdef PGSTATE_BENCH_OPENTELEMETRY
namespace otel = opentelemetry;

class exporter_to_nowhere final : public otel::sdk::trace::SpanExporter {
public:
    std::unique_ptr<otel::sdk::trace::Recordable> MakeRecordable() noexcept override {
        return std::make_unique<otel::sdk::trace::SpanData>();
    }
    otel::sdk::common::ExportResult Export(
        const otel::nostd::span<std::unique_ptr<otel::sdk::trace::Recordable>>&) noexcept override {
        return otel::sdk::common::ExportResult::kSuccess;
    }
    bool ForceFlush(std::chrono::microseconds) noexcept override { return true; }
    bool Shutdown(std::chrono::microseconds) noexcept override { return true; }
};
#endif

void trace_with_opentelemetry(pgstate::config& to) {
#ifdef PGSTATE_BENCH_OPENTELEMETRY
    auto processor = otel::sdk::trace::BatchSpanProcessorFactory::Create(
        std::make_unique<exporter_to_nowhere>(), otel::sdk::trace::BatchSpanProcessorOptions());
    // The adapter has the tracer, which has what its provider made of the processor.
    static std::shared_ptr<otel::trace::TracerProvider> provider;
    provider = otel::sdk::trace::TracerProviderFactory::Create(std::move(processor));
    to.tracer = std::make_shared<pgstate::opentelemetry_tracer>(provider->GetTracer("pgstate"));
#else
    static_cast<void>(to);
    missing("OpenTelemetry");
#endif
}

} // namespace

void add_telemetry(pgstate::config& to, telemetry_kind which) {
    const bool all = which == telemetry_kind::all;
    if (all || which == telemetry_kind::spdlog || which == telemetry_kind::spdlog_prometheus)
        log_with_spdlog(to);
    if (all || which == telemetry_kind::prometheus || which == telemetry_kind::spdlog_prometheus)
        count_with_prometheus(to);
    if (all || which == telemetry_kind::otel) trace_with_opentelemetry(to);
}

} // namespace bench
