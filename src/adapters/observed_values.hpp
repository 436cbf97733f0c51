#pragma once

#include "pgstate/metrics.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace pgstate::adapters {

/// A series that calls `record` with each value.
template <class Record>
std::unique_ptr<metrics::series> recorded_by(Record record) {
    struct series final : metrics::series {
        explicit series(Record to) : record_(std::move(to)) {}
        void record(double value) override { record_(value); }
        const Record record_;
    };
    return std::make_unique<series>(std::move(record));
}

/// The observations of one instrument: `read` asks all of them, and adds up those with the same labels.
///
/// A gauge's observation leaves nothing behind. What a counter's had come to by the last reading stays in the sum, so
/// that the sum does not fall when a store is closed.
///
/// Thread safety: all members. While an observation is asked, only its own lock is held, for which its destructor waits.
template <class Labels>
class observed_values : public std::enable_shared_from_this<observed_values<Labels>> {
public:
    explicit observed_values(instrument_kind kind) : keeps_(kind == instrument_kind::counter) {}

    std::unique_ptr<metrics::observation> add(Labels labels, std::function<double()> read) {
        auto added = std::make_shared<source>(std::move(labels), std::move(read));
        auto result = std::make_unique<observation>(this->shared_from_this(), added);
        const std::lock_guard guard(mutex_);
        sources_.push_back(std::move(added));
        return result;
    }

    std::map<Labels, double> read() {
        std::map<Labels, double> sums;
        std::vector<std::shared_ptr<source>> sources;
        {
            const std::lock_guard guard(mutex_);
            sums = ended_;
            sources = sources_;
        }
        for (const auto& each : sources)
            if (const auto value = each->read(keeps_)) sums[each->labels] += *value;
        return sums;
    }

private:
    struct source {
        source(Labels its_labels, std::function<double()> read)
            : labels(std::move(its_labels)), read_(std::move(read)) {}

        /// The value now; the last one there was if there is none now and `or_last`.
        std::optional<double> read(bool or_last) {
            const std::lock_guard guard(mutex_);
            try {
                if (read_) {
                    last_ = read_();
                    return last_;
                }
            } catch (...) {} // has no value this time
            return or_last ? std::optional(last_) : std::nullopt;
        }

        /// Waits for a reading under way and allows no other. Returns the last value.
        double end() {
            std::function<double()> ended; // what it holds is destroyed without the lock
            const std::lock_guard guard(mutex_);
            ended.swap(read_);
            return last_;
        }

        const Labels labels;

    private:
        std::mutex mutex_; // the members below
        std::function<double()> read_;
        double last_ = 0;
    };

    class observation final : public metrics::observation {
    public:
        observation(std::shared_ptr<observed_values> all, std::shared_ptr<source> own)
            : all_(std::move(all)), own_(std::move(own)) {}
        ~observation() override {
            const double last = own_->end();
            all_->remove(own_, last);
        }

    private:
        const std::shared_ptr<observed_values> all_;
        const std::shared_ptr<source> own_;
    };

    void remove(const std::shared_ptr<source>& own, double last) {
        const std::lock_guard guard(mutex_);
        if (std::erase(sources_, own) != 0 && keeps_) ended_[own->labels] += last;
    }

    const bool keeps_;
    std::mutex mutex_; // the members below
    std::vector<std::shared_ptr<source>> sources_;
    std::map<Labels, double> ended_;
};

} // namespace pgstate::adapters
