#include "pgstate/adapters/opentelemetry.hpp"
#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>
#include <opentelemetry/exporters/memory/in_memory_span_data.h>
#include <opentelemetry/exporters/memory/in_memory_span_exporter.h>
#include <opentelemetry/nostd/shared_ptr.h>
#include <opentelemetry/nostd/variant.h>
#include <opentelemetry/sdk/trace/samplers/always_off.h>
#include <opentelemetry/sdk/trace/samplers/always_on.h>
#include <opentelemetry/sdk/trace/simple_processor.h>
#include <opentelemetry/sdk/trace/span_data.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>
#include <opentelemetry/trace/noop.h>
#include <opentelemetry/trace/provider.h>
#include <opentelemetry/trace/scope.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace api = ::opentelemetry::trace;
namespace sdk = ::opentelemetry::sdk::trace;
namespace nostd = ::opentelemetry::nostd;
using namespace std::chrono_literals;
using pgstate::attribute;
using pgstate::opentelemetry_tracer;
using pgstate::span_context;
using pgstate::span_kind;
using std::chrono::steady_clock;
using std::chrono::system_clock;

/// An SDK that keeps the spans that have ended.
class traced {
public:
    explicit traced(std::unique_ptr<sdk::Sampler> sampler = std::make_unique<sdk::AlwaysOnSampler>()) {
        auto exporter = std::make_unique<::opentelemetry::exporter::memory::InMemorySpanExporter>();
        data_ = exporter->GetData();
        auto processor = std::make_unique<sdk::SimpleSpanProcessor>(std::move(exporter));
        provider_ = std::make_shared<sdk::TracerProvider>(
            std::move(processor), ::opentelemetry::sdk::resource::Resource::Create({}), std::move(sampler));
        tracer = provider_->GetTracer("test", "1");
    }

    std::vector<std::unique_ptr<sdk::SpanData>> ended() { return data_->GetSpans(); }

    std::unique_ptr<sdk::SpanData> only_one() {
        auto all = ended();
        REQUIRE(all.size() == 1);
        return std::move(all.front());
    }

    nostd::shared_ptr<api::TracerProvider> provider() const {
        return nostd::shared_ptr<api::TracerProvider>(std::shared_ptr<api::TracerProvider>(provider_));
    }

private:
    std::shared_ptr<::opentelemetry::exporter::memory::InMemorySpanData> data_;
    std::shared_ptr<sdk::TracerProvider> provider_;

public:
    nostd::shared_ptr<api::Tracer> tracer;
};

span_context some_context(std::uint8_t first, bool sampled = true) {
    span_context context;
    for (std::size_t i = 0; i < context.trace_id.size(); ++i)
        context.trace_id.at(i) = std::byte(first + i);
    for (std::size_t i = 0; i < context.span_id.size(); ++i)
        context.span_id.at(i) = std::byte(first + 100 + i);
    context.sampled = sampled;
    return context;
}

/// The bytes of an id of OpenTelemetry, or of pgstate, for comparisons.
template <class Id>
std::vector<unsigned> bytes_of(const Id& id) {
    std::vector<unsigned> bytes;
    const auto add = [&](const auto& all) {
        for (const auto byte : all)
            bytes.push_back(static_cast<unsigned>(byte));
    };
    if constexpr (requires { id.Id(); })
        add(id.Id());
    else
        add(id);
    return bytes;
}

pgstate::span_start start_of(std::string_view name, const span_context& parent = {}) {
    pgstate::span_start start;
    start.name = name;
    start.parent = parent;
    start.at = steady_clock::now();
    return start;
}

struct tracing {
    traced sdk;
    opentelemetry_tracer tracer{sdk.tracer};
};

TEST_CASE_METHOD(tracing, "opentelemetry: a span has its name, kind, attributes and duration") {
    const attribute at_start[] = {{"db.operation.name", "save"},
                                  {"db.operation.batch.size", std::int64_t{7}}};
    const attribute later[] = {{"ratio", 0.5}, {"retried", true}, {"db.operation.name", "load"}};
    auto start = start_of("pgstate.save");
    start.kind = span_kind::client;
    start.attributes = at_start;
    start.at -= 250ms;
    const auto started = system_clock::now() - 250ms;

    const auto span = tracer.start(start);
    REQUIRE(span);
    CHECK(span->context().valid());
    CHECK(span->context().sampled);
    span->set(later);
    CHECK(sdk.ended().empty());
    span->end(start.at + 100ms, {});

    const auto ended = sdk.only_one();
    CHECK(std::string(ended->GetName()) == "pgstate.save");
    CHECK(ended->GetSpanKind() == api::SpanKind::kClient);
    CHECK(ended->GetDuration() == 100ms);
    const auto off = system_clock::time_point(ended->GetStartTime()) - started;
    CHECK(std::chrono::abs(off) < 100ms);
    CHECK(ended->GetStatus() == api::StatusCode::kUnset);
    CHECK(bytes_of(ended->GetTraceId()) == bytes_of(span->context().trace_id));
    CHECK(bytes_of(ended->GetSpanId()) == bytes_of(span->context().span_id));
    const auto& attributes = ended->GetAttributes();
    REQUIRE(attributes.size() == 4);
    CHECK(nostd::get<std::string>(attributes.at("db.operation.name")) == "load");
    CHECK(nostd::get<std::int64_t>(attributes.at("db.operation.batch.size")) == 7);
    CHECK(nostd::get<double>(attributes.at("ratio")) == 0.5);
    CHECK(nostd::get<bool>(attributes.at("retried")));
}

TEST_CASE_METHOD(tracing, "opentelemetry: the parent is what the start names, never the thread's span") {
    auto outer = sdk.tracer->StartSpan("outer");
    const api::Scope in_outer(outer);

    const auto root = tracer.start(start_of("root"));
    REQUIRE(root);
    const auto child = tracer.start(start_of("child", root->context()));
    REQUIRE(child);
    const auto foreign = some_context(1);
    const auto remote = tracer.start(start_of("of another process", foreign));
    REQUIRE(remote);

    for (const auto* span : {&root, &child, &remote})
        (*span)->end(steady_clock::now(), {});
    const auto ended = sdk.ended();
    REQUIRE(ended.size() == 3);
    CHECK_FALSE(ended[0]->GetParentSpanId().IsValid());
    CHECK(ended[0]->GetTraceId() != outer->GetContext().trace_id());
    CHECK(ended[0]->GetSpanKind() == api::SpanKind::kInternal);
    CHECK(ended[1]->GetParentSpanId() == ended[0]->GetSpanId());
    CHECK(ended[1]->GetTraceId() == ended[0]->GetTraceId());
    CHECK(bytes_of(ended[2]->GetParentSpanId()) == bytes_of(foreign.span_id));
    CHECK(bytes_of(ended[2]->GetTraceId()) == bytes_of(foreign.trace_id));
}

TEST_CASE_METHOD(tracing, "opentelemetry: links are there from the start") {
    const span_context linked[] = {some_context(1), some_context(50, false)};
    auto start = start_of("statement");
    start.links = linked;
    tracer.start(start)->end(steady_clock::now(), {});

    const auto ended = sdk.only_one();
    REQUIRE(ended->GetLinks().size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
        const auto& link = ended->GetLinks()[i].GetSpanContext();
        CHECK(bytes_of(link.trace_id()) == bytes_of(linked[i].trace_id));
        CHECK(bytes_of(link.span_id()) == bytes_of(linked[i].span_id));
        CHECK(link.IsSampled() == linked[i].sampled);
        CHECK_FALSE(link.IsRemote());
    }
}

TEST_CASE_METHOD(tracing, "opentelemetry: events keep their distance from the span's start") {
    const auto start = start_of("pgstate.load");
    const auto span = tracer.start(start);
    const attribute attributes[] = {{"pgstate.retry.reason", "deadlock"}};
    span->event("retry", start.at + 3ms, attributes);
    span->event("sent", start.at + 5ms, {});
    span->end(start.at + 6ms, {});

    const auto ended = sdk.only_one();
    REQUIRE(ended->GetEvents().size() == 2);
    const auto& retry = ended->GetEvents()[0];
    CHECK(std::string(retry.GetName()) == "retry");
    CHECK(nostd::get<std::string>(retry.GetAttributes().at("pgstate.retry.reason")) == "deadlock");
    const auto began = system_clock::time_point(ended->GetStartTime());
    CHECK(system_clock::time_point(retry.GetTimestamp()) - began == 3ms);
    CHECK(system_clock::time_point(ended->GetEvents()[1].GetTimestamp()) - began == 5ms);
    CHECK(ended->GetEvents()[1].GetAttributes().empty());
}

TEST_CASE_METHOD(tracing, "opentelemetry: a span that ends in an error says which") {
    tracer.start(start_of("pgstate.save"))->end(steady_clock::now(), "conflict");
    const auto ended = sdk.only_one();
    CHECK(ended->GetStatus() == api::StatusCode::kError);
    CHECK(nostd::get<std::string>(ended->GetAttributes().at("error.type")) == "conflict");
}

TEST_CASE_METHOD(tracing, "opentelemetry: a span that is given up ends there") {
    tracer.start(start_of("given up")).reset();
    CHECK(sdk.only_one()->GetStatus() == api::StatusCode::kUnset);
}

TEST_CASE("opentelemetry: a span that nobody records is null") {
    traced off(std::make_unique<sdk::AlwaysOffSampler>());
    CHECK(opentelemetry_tracer(off.tracer).start(start_of("dropped")) == nullptr);
    const std::shared_ptr<api::Tracer> no_sdk = std::make_shared<api::NoopTracer>();
    opentelemetry_tracer nothing{nostd::shared_ptr<api::Tracer>(no_sdk)};
    CHECK(nothing.start(start_of("dropped")) == nullptr);
    const auto refused =
        pgstate_test::failure_of([] { opentelemetry_tracer none(nostd::shared_ptr<api::Tracer>{}); });
    CHECK(refused == pgstate::errc::invalid_argument);
}

TEST_CASE_METHOD(tracing, "opentelemetry: an active span is the thread's current one") {
    CHECK_FALSE(tracer.current().valid());
    const auto span = tracer.start(start_of("worker"));
    {
        const auto active = tracer.activate(*span);
        REQUIRE(active);
        CHECK(tracer.current() == span->context());
        std::jthread([&] { CHECK_FALSE(tracer.current().valid()); }).join();
        // What the program starts by itself becomes a child.
        sdk.tracer->StartSpan("own")->End();
        CHECK(bytes_of(sdk.only_one()->GetParentSpanId()) == bytes_of(span->context().span_id));
    }
    CHECK_FALSE(tracer.current().valid());
    CHECK(opentelemetry_tracer::context_of(*sdk.tracer->StartSpan("own")).valid());
}

TEST_CASE_METHOD(tracing, "opentelemetry: a span may end, and go, while it is the current one") {
    auto span = tracer.start(start_of("worker"));
    const auto context = span->context();
    auto active = tracer.activate(*span);
    std::jthread([&] {
        span->end(steady_clock::now(), {});
        span.reset();
    }).join();
    CHECK(tracer.current() == context);
    active.reset();
    CHECK_FALSE(tracer.current().valid());
    CHECK(sdk.ended().size() == 1);
}

TEST_CASE("opentelemetry: by default spans go to the global provider, in the name of pgstate") {
    traced sdk;
    const auto before = api::Provider::GetTracerProvider();
    api::Provider::SetTracerProvider(sdk.provider());
    opentelemetry_tracer tracer;
    api::Provider::SetTracerProvider(before);
    tracer.start(start_of("here"))->end(steady_clock::now(), {});
    const auto ended = sdk.only_one();
    CHECK(ended->GetInstrumentationScope().GetName() == "pgstate");
    CHECK_FALSE(ended->GetInstrumentationScope().GetVersion().empty());
}

} // namespace
