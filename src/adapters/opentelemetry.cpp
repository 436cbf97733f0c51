#include "pgstate/adapters/opentelemetry.hpp"

#include "adapters/observed_values.hpp"
#include "pgstate/error.hpp"
#include "pgstate/version.hpp"
#include "telemetry/instruments.hpp"

#include <opentelemetry/common/attribute_value.h>
#include <opentelemetry/common/key_value_iterable.h>
#include <opentelemetry/common/timestamp.h>
#include <opentelemetry/context/context.h>
#include <opentelemetry/metrics/async_instruments.h>
#include <opentelemetry/metrics/meter_provider.h>
#include <opentelemetry/metrics/observer_result.h>
#include <opentelemetry/metrics/provider.h>
#include <opentelemetry/metrics/sync_instruments.h>
#include <opentelemetry/nostd/function_ref.h>
#include <opentelemetry/nostd/span.h>
#include <opentelemetry/nostd/string_view.h>
#include <opentelemetry/nostd/variant.h>
#include <opentelemetry/trace/provider.h>
#include <opentelemetry/trace/scope.h>
#include <opentelemetry/trace/span.h>
#include <opentelemetry/trace/span_context.h>
#include <opentelemetry/trace/span_context_kv_iterable.h>
#include <opentelemetry/trace/span_metadata.h>
#include <opentelemetry/trace/span_startoptions.h>
#include <opentelemetry/trace/tracer_provider.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <variant>

namespace pgstate {
namespace {

namespace api = ::opentelemetry;
namespace nostd = ::opentelemetry::nostd;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr std::string_view scope_name = "pgstate";
constexpr std::string_view scope_version = PGSTATE_VERSION_STRING;

nostd::string_view view(std::string_view text) {
    return {text.data(), text.size()};
}

api::common::AttributeValue lend(const attribute_value& value) {
    return std::visit(
        [](const auto& held) -> api::common::AttributeValue {
            if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::string_view>)
                return view(held);
            else
                return held;
        },
        value);
}

class lent_attributes final : public api::common::KeyValueIterable {
public:
    explicit lent_attributes(std::span<const attribute> all) : all_(all) {}
    bool ForEachKeyValue(nostd::function_ref<bool(nostd::string_view, api::common::AttributeValue)> use)
        const noexcept override {
        return std::all_of(all_.begin(), all_.end(),
                           [&](const attribute& each) { return use(view(each.key), lend(each.value)); });
    }
    std::size_t size() const noexcept override { return all_.size(); }

private:
    const std::span<const attribute> all_;
};

/// The labels of a series, which outlive the call that names them. Ordered by key, so that they can be compared.
class kept_labels final : public api::common::KeyValueIterable {
public:
    explicit kept_labels(std::span<const attribute> labels) {
        for (const auto& label : labels)
            all_.insert_or_assign(std::string(label.key), keep(label.value));
    }
    bool ForEachKeyValue(nostd::function_ref<bool(nostd::string_view, api::common::AttributeValue)> use)
        const noexcept override {
        return std::all_of(all_.begin(), all_.end(), [&](const auto& each) {
            const auto value =
                std::visit([](const auto& held) { return attribute_value(held); }, each.second);
            return use(view(each.first), lend(value));
        });
    }
    std::size_t size() const noexcept override { return all_.size(); }
    friend bool operator<(const kept_labels& a, const kept_labels& b) { return a.all_ < b.all_; }

private:
    using kept_value = std::variant<bool, std::int64_t, double, std::string>;

    static kept_value keep(const attribute_value& value) {
        return std::visit(
            [](const auto& held) -> kept_value {
                if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::string_view>)
                    return std::string(held);
                else
                    return held;
            },
            value);
    }

    std::map<std::string, kept_value> all_;
};

api::trace::SpanContext to_api(const span_context& context) {
    const auto trace_id = std::bit_cast<std::array<std::uint8_t, 16>>(context.trace_id);
    const auto span_id = std::bit_cast<std::array<std::uint8_t, 8>>(context.span_id);
    const auto flags = context.sampled ? api::trace::TraceFlags::kIsSampled : std::uint8_t{0};
    return {api::trace::TraceId(nostd::span<const std::uint8_t, 16>(trace_id.data(), trace_id.size())),
            api::trace::SpanId(nostd::span<const std::uint8_t, 8>(span_id.data(), span_id.size())),
            api::trace::TraceFlags(flags), false};
}

span_context from_api(const api::trace::SpanContext& context) {
    span_context result;
    const auto id = [](std::uint8_t b) { return std::byte{b}; };
    std::ranges::transform(context.trace_id().Id(), result.trace_id.begin(), id);
    std::ranges::transform(context.span_id().Id(), result.span_id.begin(), id);
    result.sampled = context.IsSampled();
    return result;
}

class lent_links final : public api::trace::SpanContextKeyValueIterable {
public:
    explicit lent_links(std::span<const span_context> all) : all_(all) {}
    bool ForEachKeyValue(
        nostd::function_ref<bool(api::trace::SpanContext, const api::common::KeyValueIterable&)> use)
        const noexcept override {
        const lent_attributes none({});
        return std::all_of(all_.begin(), all_.end(),
                           [&](const span_context& each) { return use(to_api(each), none); });
    }
    std::size_t size() const noexcept override { return all_.size(); }

private:
    const std::span<const span_context> all_;
};

/// Times on the system's clock for those on the steady clock. Both are read once, so that the times of one span keep
/// their distances when the system's clock is set.
class clock_pair {
public:
    system_clock::time_point system(steady_clock::time_point at) const {
        return system_ + std::chrono::duration_cast<system_clock::duration>(at - steady_);
    }
    steady_clock::time_point steady() const { return steady_; }

private:
    steady_clock::time_point steady_ = steady_clock::now();
    system_clock::time_point system_ = system_clock::now();
};

class api_span final : public span {
public:
    api_span(nostd::shared_ptr<api::trace::Span> own, const clock_pair& clocks)
        : own_(std::move(own)), clocks_(clocks) {}

    span_context context() const override { return from_api(own_->GetContext()); }

    void set(std::span<const attribute> attributes) override {
        for (const auto& each : attributes)
            own_->SetAttribute(view(each.key), lend(each.value));
    }

    void event(std::string_view name, steady_clock::time_point at,
               std::span<const attribute> attributes) override {
        own_->AddEvent(view(name), api::common::SystemTimestamp(clocks_.system(at)),
                       lent_attributes(attributes));
    }

    void end(steady_clock::time_point at, std::string_view error) override {
        if (!error.empty()) {
            own_->SetAttribute("error.type", view(error));
            own_->SetStatus(api::trace::StatusCode::kError);
        }
        api::trace::EndSpanOptions options;
        options.end_steady_time = api::common::SteadyTimestamp(at);
        own_->End(options);
    }

    const nostd::shared_ptr<api::trace::Span>& own() const { return own_; }

private:
    const nostd::shared_ptr<api::trace::Span> own_;
    const clock_pair clocks_;
};

class api_scope final : public tracer::scope {
public:
    explicit api_scope(const nostd::shared_ptr<api::trace::Span>& span) : own_(span) {}

private:
    api::trace::Scope own_;
};

/// An observable instrument with what it observes.
class observable {
public:
    using values = adapters::observed_values<kept_labels>;

    observable(nostd::shared_ptr<api::metrics::ObservableInstrument> of, instrument_kind kind)
        : of_(std::move(of)), values_(std::make_shared<values>(kind)) {
        of_->AddCallback(&collect, values_.get());
    }
    ~observable() { of_->RemoveCallback(&collect, values_.get()); }
    observable(const observable&) = delete;
    observable& operator=(const observable&) = delete;

    values& all() { return *values_; }

private:
    static void collect(api::metrics::ObserverResult result, void* state) noexcept {
        using doubles = nostd::shared_ptr<api::metrics::ObserverResultT<double>>;
        if (!nostd::holds_alternative<doubles>(result)) return;
        try {
            for (const auto& [labels, value] : static_cast<values*>(state)->read())
                nostd::get<doubles>(result)->Observe(value, labels);
        } catch (...) {} // out of memory: not this time
    }

    const nostd::shared_ptr<api::metrics::ObservableInstrument> of_;
    const std::shared_ptr<values> values_;
};

} // namespace

opentelemetry_tracer::opentelemetry_tracer()
    : opentelemetry_tracer(
          api::trace::Provider::GetTracerProvider()->GetTracer(view(scope_name), view(scope_version))) {}

opentelemetry_tracer::opentelemetry_tracer(nostd::shared_ptr<api::trace::Tracer> to) : to_(std::move(to)) {
    if (!to_) throw error(errc::invalid_argument, "opentelemetry_tracer", "there is no tracer");
}

std::unique_ptr<span> opentelemetry_tracer::start(const span_start& what) {
    const clock_pair clocks;
    const auto at = what.at == steady_clock::time_point{} ? clocks.steady() : what.at;
    api::trace::StartSpanOptions options;
    options.kind =
        what.kind == span_kind::client ? api::trace::SpanKind::kClient : api::trace::SpanKind::kInternal;
    options.start_steady_time = api::common::SteadyTimestamp(at);
    options.start_system_time = api::common::SystemTimestamp(clocks.system(at));
    if (what.parent.valid())
        options.parent = to_api(what.parent);
    else
        options.parent = api::context::Context(api::trace::kIsRootSpanKey, true);

    const lent_attributes attributes(what.attributes);
    const lent_links links(what.links);
    auto started = to_->StartSpan(view(what.name), attributes, links, options);
    if (!started || !started->IsRecording()) return nullptr;
    return std::make_unique<api_span>(std::move(started), clocks);
}

span_context opentelemetry_tracer::current() {
    return context_of(*api::trace::Tracer::GetCurrentSpan());
}

span_context opentelemetry_tracer::context_of(const api::trace::Span& span) {
    return from_api(span.GetContext());
}

std::unique_ptr<tracer::scope> opentelemetry_tracer::activate(span& what) {
    const auto* own = dynamic_cast<const api_span*>(&what);
    if (!own) return nullptr;
    return std::make_unique<api_scope>(own->own());
}

/// One instrument of the API for each instrument, whatever its labels.
class opentelemetry_metrics::instruments {
public:
    explicit instruments(nostd::shared_ptr<api::metrics::Meter> meter) : meter_(std::move(meter)) {
        if (!meter_) throw error(errc::invalid_argument, "opentelemetry_metrics", "there is no meter");
    }

    std::shared_ptr<api::metrics::Counter<double>> counter(const instrument& what) {
        return one_for(counters_, what, &api::metrics::Meter::CreateDoubleCounter);
    }

    std::shared_ptr<api::metrics::Histogram<double>> histogram(const instrument& what) {
        return one_for(histograms_, what, &api::metrics::Meter::CreateDoubleHistogram);
    }

    /// Lives as long as this object.
    observable& observed(const instrument& what) {
        // The SDK takes a lock of its own here, under which it collects. Collecting needs none of this object's.
        const std::lock_guard guard(mutex_);
        auto& made = observables_[std::string(what.name)];
        if (!made) {
            const auto create = what.kind == instrument_kind::counter
                                    ? &api::metrics::Meter::CreateDoubleObservableCounter
                                    : &api::metrics::Meter::CreateDoubleObservableUpDownCounter;
            made = std::make_unique<observable>(
                ((*meter_).*create)(view(what.name), view(what.description), view(what.unit)), what.kind);
        }
        return *made;
    }

private:
    template <class Instrument, class Create>
    std::shared_ptr<Instrument> one_for(std::map<std::string, std::shared_ptr<Instrument>>& all,
                                        const instrument& what, Create create) {
        const std::lock_guard guard(mutex_);
        auto& one = all[std::string(what.name)];
        if (!one)
            one.reset(
                ((*meter_).*create)(view(what.name), view(what.description), view(what.unit)).release());
        return one;
    }

    const nostd::shared_ptr<api::metrics::Meter> meter_;
    std::mutex mutex_; // the members below, each by name
    std::map<std::string, std::shared_ptr<api::metrics::Counter<double>>> counters_;
    std::map<std::string, std::shared_ptr<api::metrics::Histogram<double>>> histograms_;
    std::map<std::string, std::unique_ptr<observable>> observables_;
};

opentelemetry_metrics::opentelemetry_metrics()
    : opentelemetry_metrics(
          api::metrics::Provider::GetMeterProvider()->GetMeter(view(scope_name), view(scope_version))) {}

opentelemetry_metrics::opentelemetry_metrics(nostd::shared_ptr<api::metrics::Meter> to)
    : instruments_(std::make_unique<instruments>(std::move(to))) {}

opentelemetry_metrics::~opentelemetry_metrics() = default;

std::unique_ptr<metrics::series> opentelemetry_metrics::open(const instrument& what,
                                                             std::span<const attribute> labels) {
    switch (what.kind) {
    case instrument_kind::counter:
        return adapters::recorded_by([to = instruments_->counter(what), kept = kept_labels(labels)](
                                         double value) { to->Add(value, kept, api::context::Context{}); });
    case instrument_kind::histogram:
        return adapters::recorded_by([to = instruments_->histogram(what), kept = kept_labels(labels)](
                                         double value) { to->Record(value, kept, api::context::Context{}); });
    case instrument_kind::gauge: break;
    }
    return nullptr;
}

std::unique_ptr<metrics::observation> opentelemetry_metrics::observe(const instrument& what,
                                                                     std::span<const attribute> labels,
                                                                     std::function<double()> read) {
    if (what.kind == instrument_kind::histogram || !read) return nullptr;
    return instruments_->observed(what).all().add(kept_labels(labels), std::move(read));
}

std::span<const opentelemetry_metrics::histogram_bounds> opentelemetry_metrics::bounds() noexcept {
    static constexpr histogram_bounds all[] = {
        {"s", telemetry::instruments::seconds},
        {"{operation}", telemetry::instruments::operations},
    };
    return all;
}

} // namespace pgstate
