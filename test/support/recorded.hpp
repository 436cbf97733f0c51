#ifndef PGSTATE_TEST_RECORDED_HPP
#define PGSTATE_TEST_RECORDED_HPP

#include "pgstate/logger.hpp"
#include "pgstate/metrics.hpp"
#include "pgstate/tracer.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace pgstate_test {

using recorded_attributes = std::map<std::string, std::string>;

inline std::string text_of(const pgstate::attribute_value& value) {
    return std::visit(
        [](const auto& v) -> std::string {
            using type = std::decay_t<decltype(v)>;
            if constexpr (std::is_same_v<type, std::string_view>)
                return std::string(v);
            else if constexpr (std::is_same_v<type, bool>)
                return v ? "true" : "false";
            else
                return std::to_string(v);
        },
        value);
}

inline void copy_into(recorded_attributes& to, std::span<const pgstate::attribute> attributes) {
    for (const auto& each : attributes)
        to[std::string(each.key)] = text_of(each.value);
}

/// A line for each.
inline std::string text_of(const recorded_attributes& all) {
    std::string text;
    for (const auto& [key, value] : all)
        text.append(key).append("=").append(value).append("\n");
    return text;
}

/// A logger that keeps its records.
class recorded_log final : public pgstate::logger {
public:
    struct record {
        pgstate::log_level level;
        std::string message;
        recorded_attributes attributes;
    };

    explicit recorded_log(pgstate::log_level from = pgstate::log_level::trace) : from_(from) {}

    bool enabled(pgstate::log_level level) const override { return level >= from_; }
    void log(const pgstate::log_record& what) override {
        record kept{what.level, std::string(what.message), {}};
        copy_into(kept.attributes, what.attributes);
        const std::lock_guard guard(mutex_);
        records_.push_back(std::move(kept));
    }

    std::vector<record> all() const {
        const std::lock_guard guard(mutex_);
        return records_;
    }
    std::vector<record> all(std::string_view message) const {
        auto some = all();
        std::erase_if(some, [&](const record& each) { return each.message != message; });
        return some;
    }
    /// All that it was told.
    std::string text() const {
        std::string told;
        for (const auto& each : all())
            told.append(each.message).append("\n").append(text_of(each.attributes));
        return told;
    }

private:
    const pgstate::log_level from_;
    mutable std::mutex mutex_;
    std::vector<record> records_;
};

/// Metrics that keep every value.
class recorded_metrics final : public pgstate::metrics {
public:
    std::unique_ptr<series> open(const pgstate::instrument& what,
                                 std::span<const pgstate::attribute> labels) override {
        class one final : public series {
        public:
            one(recorded_metrics& whose, std::string key) : whose_(whose), key_(std::move(key)) {}
            void record(double value) override {
                const std::lock_guard guard(whose_.mutex_);
                whose_.values_[key_].push_back(value);
            }

        private:
            recorded_metrics& whose_;
            const std::string key_;
        };
        return std::make_unique<one>(*this, key_of(what, labels));
    }
    std::unique_ptr<observation> observe(const pgstate::instrument& what,
                                         std::span<const pgstate::attribute> labels,
                                         std::function<double()> read) override {
        class one final : public observation {
        public:
            one(recorded_metrics& whose, std::string key) : whose_(whose), key_(std::move(key)) {}
            ~one() override {
                const std::lock_guard guard(whose_.reading_);
                whose_.reads_.erase(key_);
            }

        private:
            recorded_metrics& whose_;
            const std::string key_;
        };
        const std::lock_guard guard(reading_);
        reads_[key_of(what, labels)] = std::move(read);
        return std::make_unique<one>(*this, key_of(what, labels));
    }

    /// By "name{label=value,…}", without the labels that every series has.
    std::vector<double> values(const std::string& key) const {
        const std::lock_guard guard(mutex_);
        const auto at = values_.find(key);
        return at == values_.end() ? std::vector<double>{} : at->second;
    }
    double read(const std::string& key) const {
        const std::lock_guard guard(reading_);
        return reads_.at(key)();
    }
    /// Every key that was recorded into or can be read.
    std::vector<std::string> keys() const {
        std::vector<std::string> all;
        {
            const std::lock_guard guard(mutex_);
            for (const auto& [key, values] : values_)
                all.push_back(key);
        }
        const std::lock_guard guard(reading_);
        for (const auto& [key, read] : reads_)
            all.push_back(key);
        return all;
    }

private:
    static std::string key_of(const pgstate::instrument& what, std::span<const pgstate::attribute> labels) {
        recorded_attributes sorted;
        copy_into(sorted, labels);
        std::string key(what.name);
        char separator = '{';
        for (const auto& [name, value] : sorted) {
            if (name == "db.system.name" || name == "db.namespace" || name == "db.collection.name" ||
                name == "db.client.connection.pool.name")
                continue;
            key.append(1, separator).append(name).append("=").append(value);
            separator = ',';
        }
        return separator == ',' ? key + "}" : key;
    }

    mutable std::mutex mutex_;
    std::map<std::string, std::vector<double>> values_;
    mutable std::mutex reading_;
    std::map<std::string, std::function<double()>> reads_;
};

/// A tracer that keeps the spans that have ended.
class recorded_trace final : public pgstate::tracer {
public:
    struct finished {
        std::string name;
        pgstate::span_kind kind{};
        pgstate::span_context context;
        pgstate::span_context parent;
        std::vector<pgstate::span_context> links;
        std::chrono::steady_clock::time_point began, ended;
        recorded_attributes attributes;
        std::vector<std::pair<std::string, std::chrono::steady_clock::time_point>> events;
        std::string error;
    };

    std::unique_ptr<pgstate::span> start(const pgstate::span_start& what) override {
        finished begun;
        begun.name = what.name;
        begun.kind = what.kind;
        begun.parent = what.parent;
        begun.links.assign(what.links.begin(), what.links.end());
        begun.began = what.at;
        copy_into(begun.attributes, what.attributes);
        begun.context = next(what.parent);
        return std::make_unique<one>(*this, std::move(begun));
    }
    pgstate::span_context current() override { return current_; }
    std::unique_ptr<scope> activate(pgstate::span& what) override {
        class active final : public scope {
        public:
            explicit active(const pgstate::span_context& now) : before_(std::exchange(current_, now)) {}
            ~active() override { current_ = before_; }

        private:
            const pgstate::span_context before_;
        };
        return std::make_unique<active>(what.context());
    }

    std::vector<finished> all() const {
        const std::lock_guard guard(mutex_);
        return finished_;
    }
    std::vector<finished> all(std::string_view name) const {
        auto some = all();
        std::erase_if(some, [&](const finished& each) { return each.name != name; });
        return some;
    }
    /// All that it was told.
    std::string text() const {
        std::string told;
        for (const auto& each : all())
            told.append(each.name).append(each.error).append("\n").append(text_of(each.attributes));
        return told;
    }

    /// A context that belongs to nobody else.
    pgstate::span_context next(const pgstate::span_context& parent = {}) {
        const std::uint64_t id = ++last_;
        pgstate::span_context made = parent;
        for (std::size_t i = 0; i < made.span_id.size(); ++i)
            made.span_id[i] = static_cast<std::byte>(id >> (8U * i));
        if (!parent.valid()) std::copy(made.span_id.begin(), made.span_id.end(), made.trace_id.begin());
        made.sampled = true;
        return made;
    }

private:
    class one final : public pgstate::span {
    public:
        one(recorded_trace& whose, finished begun) : whose_(whose), begun_(std::move(begun)) {}
        pgstate::span_context context() const override { return begun_.context; }
        void set(std::span<const pgstate::attribute> attributes) override {
            copy_into(begun_.attributes, attributes);
        }
        void event(std::string_view name, std::chrono::steady_clock::time_point at,
                   std::span<const pgstate::attribute>) override {
            begun_.events.emplace_back(std::string(name), at);
        }
        void end(std::chrono::steady_clock::time_point at, std::string_view error) override {
            begun_.ended = at;
            begun_.error = error;
            if (!error.empty()) begun_.attributes["error.type"] = error;
            const std::lock_guard guard(whose_.mutex_);
            whose_.finished_.push_back(std::move(begun_));
        }

    private:
        recorded_trace& whose_;
        finished begun_;
    };

    static inline thread_local pgstate::span_context current_;
    mutable std::mutex mutex_;
    std::vector<finished> finished_;
    std::atomic<std::uint64_t> last_{0};
};

} // namespace pgstate_test

#endif
