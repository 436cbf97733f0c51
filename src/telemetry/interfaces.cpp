#include "pgstate/logger.hpp"
#include "pgstate/metrics.hpp"
#include "pgstate/tracer.hpp"

#include <cstddef>
#include <iterator>
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

struct series_of_all final : metrics::series {
    void record(double value) override {
        for_each_of(all, [&](series& each) { each.record(value); });
    }
    std::vector<std::unique_ptr<series>> all;
};

struct observations_of_all final : metrics::observation {
    std::vector<std::unique_ptr<observation>> all;
};

/// What `open` gives of each of `from`, as one; null if that is nothing.
template <class AsOne, class Open>
std::unique_ptr<AsOne> open_all(const std::vector<std::shared_ptr<metrics>>& from, Open open) {
    auto as_one = std::make_unique<AsOne>();
    for_each_of(from, [&](metrics& each) {
        if (auto opened = open(each)) as_one->all.push_back(std::move(opened));
    });
    return as_one->all.empty() ? nullptr : std::move(as_one);
}

} // namespace

logger::~logger() = default;
metrics::~metrics() = default;
metrics::series::~series() = default;
metrics::observation::~observation() = default;
span::~span() = default;
tracer::~tracer() = default;
tracer::scope::~scope() = default;

std::string_view to_string(log_level level) noexcept {
    constexpr std::string_view names[] = {"trace", "debug", "info", "warn", "error"};
    const auto at = static_cast<std::size_t>(level);
    return at < std::size(names) ? names[at] : "unknown";
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

composite_metrics::composite_metrics(std::vector<std::shared_ptr<metrics>> all) : all_(std::move(all)) {}

std::unique_ptr<metrics::series> composite_metrics::open(const instrument& what,
                                                         std::span<const attribute> labels) {
    return open_all<series_of_all>(all_, [&](metrics& each) { return each.open(what, labels); });
}

std::unique_ptr<metrics::observation> composite_metrics::observe(const instrument& what,
                                                                 std::span<const attribute> labels,
                                                                 std::function<double()> read) {
    return open_all<observations_of_all>(all_,
                                         [&](metrics& each) { return each.observe(what, labels, read); });
}

} // namespace pgstate
