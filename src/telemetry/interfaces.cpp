#include "pgstate/logger.hpp"
#include "pgstate/metrics.hpp"
#include "pgstate/tracer.hpp"

#include <utility>

namespace pgstate {
namespace {

/// Calls `use` with each that is there; one that throws does not keep the others from their turn.
template <class All, class Use>
void for_each_of(const All& all, Use use) {
    for (const auto& each : all) {
        try {
            if (each) use(*each);
        } catch (...) {}
    }
}

class series_of_all final : public metrics::series {
public:
    explicit series_of_all(std::vector<std::unique_ptr<series>> all) : all_(std::move(all)) {}
    void record(double value) override {
        for_each_of(all_, [&](series& each) { each.record(value); });
    }

private:
    std::vector<std::unique_ptr<series>> all_;
};

class observations_of_all final : public metrics::observation {
public:
    explicit observations_of_all(std::vector<std::unique_ptr<observation>> all) : all_(std::move(all)) {}

private:
    std::vector<std::unique_ptr<observation>> all_;
};

} // namespace

logger::~logger() = default;
metrics::~metrics() = default;
metrics::series::~series() = default;
metrics::observation::~observation() = default;
span::~span() = default;
tracer::~tracer() = default;
tracer::scope::~scope() = default;

std::string_view to_string(log_level level) noexcept {
    switch (level) {
    case log_level::trace: return "trace";
    case log_level::debug: return "debug";
    case log_level::info: return "info";
    case log_level::warn: return "warn";
    case log_level::error: return "error";
    }
    return "unknown";
}

composite_logger::composite_logger(std::vector<std::shared_ptr<logger>> loggers)
    : loggers_(std::move(loggers)) {}

bool composite_logger::enabled(log_level level) const {
    bool wanted = false;
    for_each_of(loggers_, [&](const logger& each) { wanted = wanted || each.enabled(level); });
    return wanted;
}

void composite_logger::log(const log_record& record) {
    for_each_of(loggers_, [&](logger& each) {
        if (each.enabled(record.level)) each.log(record);
    });
}

std::unique_ptr<metrics::observation> metrics::observe(const instrument&, std::span<const attribute>,
                                                       std::function<double()>) {
    return nullptr;
}

composite_metrics::composite_metrics(std::vector<std::shared_ptr<metrics>> all) : all_(std::move(all)) {}

std::unique_ptr<metrics::series> composite_metrics::open(const instrument& what,
                                                         std::span<const attribute> labels) {
    std::vector<std::unique_ptr<series>> opened;
    for_each_of(all_, [&](metrics& each) {
        if (auto one = each.open(what, labels)) opened.push_back(std::move(one));
    });
    if (opened.empty()) return nullptr;
    return std::make_unique<series_of_all>(std::move(opened));
}

std::unique_ptr<metrics::observation> composite_metrics::observe(const instrument& what,
                                                                 std::span<const attribute> labels,
                                                                 std::function<double()> read) {
    std::vector<std::unique_ptr<observation>> begun;
    for_each_of(all_, [&](metrics& each) {
        if (auto one = each.observe(what, labels, read)) begun.push_back(std::move(one));
    });
    if (begun.empty()) return nullptr;
    return std::make_unique<observations_of_all>(std::move(begun));
}

span_context tracer::current() {
    return {};
}

std::unique_ptr<tracer::scope> tracer::activate(span&) {
    return nullptr;
}

} // namespace pgstate
