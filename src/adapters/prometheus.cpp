#include "pgstate/adapters/prometheus.hpp"

#include "adapters/attribute_text.hpp"
#include "adapters/observed_values.hpp"
#include "pgstate/error.hpp"

#include <prometheus/client_metric.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_type.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate {
namespace {

using label_map = std::map<std::string, std::string>;

/// Prometheus's names have ASCII letters, digits and underscores, and do not start with a digit.
std::string legal_name(std::string_view name) {
    std::string legal;
    for (const char c : name) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool digit = c >= '0' && c <= '9';
        if (digit && legal.empty()) legal += '_';
        legal += letter || digit ? c : '_';
    }
    return legal;
}

/// The word for a unit of UCUM; empty for those that only comment, such as "{operation}".
std::string unit_word(const instrument& what) {
    static constexpr std::pair<std::string_view, std::string_view> words[] = {
        {"s", "seconds"},      {"ms", "milliseconds"}, {"us", "microseconds"},
        {"ns", "nanoseconds"}, {"min", "minutes"},     {"h", "hours"},
        {"d", "days"},         {"By", "bytes"},        {"%", "percent"},
    };
    if (what.unit == "1") return what.kind == instrument_kind::gauge ? "ratio" : "";
    if (what.unit.starts_with('{')) return {};
    for (const auto& [unit, word] : words)
        if (unit == what.unit) return std::string(word);
    return legal_name(what.unit);
}

std::string family_name(const instrument& what) {
    auto name = legal_name(what.name);
    const auto end_with = [&](const std::string& word) {
        if (!word.empty() && !name.ends_with("_" + word)) name += "_" + word;
    };
    end_with(unit_word(what));
    if (what.kind == instrument_kind::counter) end_with("total");
    return name;
}

label_map label_map_of(std::span<const attribute> labels) {
    label_map result;
    for (const auto& label : labels)
        adapters::with_text(label.value, [&](std::string_view value) {
            const auto [at, is_new] = result.try_emplace(legal_name(label.key), value);
            // Keys that differ in Prometheus no more share a label, as OpenTelemetry has it.
            if (!is_new) at->second.append(";").append(value);
        });
    return result;
}

::prometheus::ClientMetric client_metric(const label_map& labels, ::prometheus::MetricType type,
                                         double value) {
    ::prometheus::ClientMetric metric;
    for (const auto& [name, text] : labels) {
        ::prometheus::ClientMetric::Label label;
        label.name = name;
        label.value = text;
        metric.label.push_back(std::move(label));
    }
    if (type == ::prometheus::MetricType::Counter)
        metric.counter.value = value;
    else
        metric.gauge.value = value;
    return metric;
}

} // namespace

class prometheus_metrics::families {
public:
    explicit families(std::shared_ptr<::prometheus::Registry> recorded) : registry(std::move(recorded)) {
        if (!registry) throw error(errc::invalid_argument, "prometheus_metrics", "there is no registry");
    }

    using values = adapters::observed_values<label_map>;
    struct observed {
        std::string help;
        ::prometheus::MetricType type;
        std::shared_ptr<values> all;
    };

    std::shared_ptr<values> observed_of(const instrument& what) {
        const std::lock_guard guard(mutex_);
        auto& family = observed_[family_name(what)];
        if (!family.all) {
            const bool counts = what.kind == instrument_kind::counter;
            family = {std::string(what.description),
                      counts ? ::prometheus::MetricType::Counter : ::prometheus::MetricType::Gauge,
                      std::make_shared<values>(what.kind)};
        }
        return family.all;
    }

    std::map<std::string, observed> all_observed() const {
        const std::lock_guard guard(mutex_);
        return observed_;
    }

    const std::shared_ptr<::prometheus::Registry> registry;

private:
    mutable std::mutex mutex_;
    std::map<std::string, observed> observed_; // by name
};

prometheus_metrics::prometheus_metrics() : prometheus_metrics(std::make_shared<::prometheus::Registry>()) {}

prometheus_metrics::prometheus_metrics(std::shared_ptr<::prometheus::Registry> registry)
    : families_(std::make_unique<families>(std::move(registry))) {}

prometheus_metrics::~prometheus_metrics() = default;

std::unique_ptr<metrics::series> prometheus_metrics::open(const instrument& what,
                                                          std::span<const attribute> labels) {
    const auto& registry = families_->registry;
    const auto name = family_name(what);
    const std::string help(what.description);
    switch (what.kind) {
    case instrument_kind::counter: {
        auto& family = ::prometheus::BuildCounter().Name(name).Help(help).Register(*registry);
        return adapters::recorded_by([registry, &counter = family.Add(label_map_of(labels))](double value) {
            if (value > 0) counter.Increment(value);
        });
    }
    case instrument_kind::histogram: {
        auto& family = ::prometheus::BuildHistogram().Name(name).Help(help).Register(*registry);
        const ::prometheus::Histogram::BucketBoundaries bounds(what.bounds.begin(), what.bounds.end());
        return adapters::recorded_by(
            [registry, &histogram = family.Add(label_map_of(labels), bounds)](double value) {
                if (!std::isnan(value)) histogram.Observe(value); // a NaN would be the sum for good
            });
    }
    case instrument_kind::gauge: break;
    }
    return nullptr;
}

std::unique_ptr<metrics::observation> prometheus_metrics::observe(const instrument& what,
                                                                  std::span<const attribute> labels,
                                                                  std::function<double()> read) {
    if (what.kind == instrument_kind::histogram || !read) return nullptr;
    return families_->observed_of(what)->add(label_map_of(labels), std::move(read));
}

std::vector<::prometheus::MetricFamily> prometheus_metrics::Collect() const {
    auto collected = families_->registry->Collect();
    for (const auto& [name, observed] : families_->all_observed()) {
        const auto sums = observed.all->read();
        if (sums.empty()) continue;
        // A name occurs once only, whether its series are recorded, observed, or some of each.
        auto family = std::find_if(collected.begin(), collected.end(),
                                   [&](const auto& each) { return each.name == name; });
        if (family == collected.end()) {
            family = collected.emplace(collected.end());
            family->name = name;
            family->help = observed.help;
            family->type = observed.type;
        } else if (family->type != observed.type) {
            continue; // the program has something else of that name in its registry
        }
        for (const auto& [labels, value] : sums)
            family->metric.push_back(client_metric(labels, observed.type, value));
    }
    return collected;
}

} // namespace pgstate
