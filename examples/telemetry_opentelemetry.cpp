// How the store's spans and metrics get into OpenTelemetry: the program sets up the SDK of opentelemetry-cpp, here with
// exporters that print, and pgstate::opentelemetry_tracer and opentelemetry_metrics use the global providers.
// A save that is given a span of the program as its parent belongs to that span's trace. Runs on a private PostgreSQL.
#include <pgstate/adapters/opentelemetry.hpp>
#include <pgstate/adapters/opentelemetry_views.hpp>
#include <pgstate/embedded_server.hpp>
#include <pgstate/pgstate.hpp>

#include <boost/asio.hpp>

#include <opentelemetry/exporters/ostream/metric_exporter.h>
#include <opentelemetry/exporters/ostream/span_exporter.h>
#include <opentelemetry/metrics/provider.h>
#include <opentelemetry/nostd/shared_ptr.h>
#include <opentelemetry/sdk/metrics/export/periodic_exporting_metric_reader.h>
#include <opentelemetry/sdk/metrics/meter_provider.h>
#include <opentelemetry/sdk/trace/simple_processor.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>
#include <opentelemetry/trace/provider.h>

#include <exception>
#include <iostream>
#include <memory>

namespace asio = boost::asio;
namespace otel = ::opentelemetry;

namespace {

/// The SDK, as the global providers; ends with this object, which exports what is left.
class telemetry {
public:
    telemetry() {
        // A real program has a BatchSpanProcessor and OTLP's exporters.
        traces_ = std::make_shared<otel::sdk::trace::TracerProvider>(
            std::make_unique<otel::sdk::trace::SimpleSpanProcessor>(
                std::make_unique<otel::exporter::trace::OStreamSpanExporter>(std::cout)));
        otel::trace::Provider::SetTracerProvider(otel::nostd::shared_ptr<otel::trace::TracerProvider>(
            std::shared_ptr<otel::trace::TracerProvider>(traces_)));

        metrics_ = std::make_shared<otel::sdk::metrics::MeterProvider>();
        metrics_->AddMetricReader(std::make_shared<otel::sdk::metrics::PeriodicExportingMetricReader>(
            std::make_unique<otel::exporter::metrics::OStreamMetricExporter>(std::cout),
            otel::sdk::metrics::PeriodicExportingMetricReaderOptions{}));
        pgstate::add_histogram_views(*metrics_);
        otel::metrics::Provider::SetMeterProvider(otel::nostd::shared_ptr<otel::metrics::MeterProvider>(
            std::shared_ptr<otel::metrics::MeterProvider>(metrics_)));
    }
    ~telemetry() {
        traces_->Shutdown();
        metrics_->ForceFlush();
        metrics_->Shutdown();
    }
    telemetry(const telemetry&) = delete;
    telemetry& operator=(const telemetry&) = delete;

private:
    std::shared_ptr<otel::sdk::trace::TracerProvider> traces_;
    std::shared_ptr<otel::sdk::metrics::MeterProvider> metrics_;
};

asio::awaitable<void> run_agent(pgstate::config config) {
    auto store = co_await pgstate::postgres_store::open(co_await asio::this_coro::executor, config);
    const pgstate::agent_state state{"agent-1", "session-1"};

    auto turn = otel::trace::Provider::GetTracerProvider()->GetTracer("agent")->StartSpan("agent.turn");
    // Not a trace::Scope: that belongs to the thread, which runs other coroutines while this one waits.
    co_await store.save(state, {.parent = pgstate::opentelemetry_tracer::context_of(*turn)});
    turn->End();
    co_await store.close();
}

} // namespace

int main() {
    try {
        const telemetry running;
        const pgstate::embedded_server server;
        pgstate::config config{.connection_string = server.connection_string()};
        // [opentelemetry]
        config.tracer = std::make_shared<pgstate::opentelemetry_tracer>();
        config.metrics = std::make_shared<pgstate::opentelemetry_metrics>();
        // [opentelemetry]

        asio::io_context io;
        std::exception_ptr failure;
        asio::co_spawn(io, run_agent(config), [&](std::exception_ptr e) { failure = e; });
        io.run();
        if (failure) std::rethrow_exception(failure);
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "telemetry_opentelemetry: " << e.what() << '\n';
        return 1;
    }
}
