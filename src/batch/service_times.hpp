#ifndef PGSTATE_BATCH_SERVICE_TIMES_HPP
#define PGSTATE_BATCH_SERVICE_TIMES_HPP

#include "batch/item.hpp"

#include <chrono>
#include <utility>
#include <vector>

namespace pgstate::batch {

/// How long statements of each type take from their sending to their answer, of late. A hint for decisions about throughput;
/// nothing that is promised depends on it.
class service_times {
public:
    using duration = std::chrono::steady_clock::duration;

    void add(const traits& type, duration took) {
        for (auto& [known, usual] : times_) {
            if (known != &type) continue;
            usual += (took - usual) / weight;
            return;
        }
        times_.emplace_back(&type, took);
    }

    /// 0: not known.
    duration of(const traits& type) const noexcept {
        for (const auto& [known, usual] : times_)
            if (known == &type) return usual;
        return {};
    }

private:
    static constexpr int weight = 8;
    std::vector<std::pair<const traits*, duration>> times_; // few
};

} // namespace pgstate::batch

#endif
