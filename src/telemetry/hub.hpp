#ifndef PGSTATE_TELEMETRY_HUB_HPP
#define PGSTATE_TELEMETRY_HUB_HPP

#include "pgstate/error.hpp"
#include "pgstate/logger.hpp"
#include "pgstate/metrics.hpp"
#include "pgstate/tracer.hpp"
#include "telemetry/names.hpp"
#include "telemetry/series_slot.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate::telemetry {

using clock = std::chrono::steady_clock;

/// Where the database is, as far as the connection string tells.
struct place {
    std::string address; ///< of the first host: a name, or the directory of a socket
    std::int64_t port = 0;
    std::string database;
    std::string table;
};

struct options {
    std::shared_ptr<pgstate::logger> logger;
    std::shared_ptr<pgstate::metrics> metrics;
    std::shared_ptr<pgstate::tracer> tracer;
    std::chrono::milliseconds slow_operation{0};
    bool log_ids = false;
    place where;
};

/// A statement that was sent; its operations share it. Immutable.
struct sent_statement {
    operation_id operation{};
    std::string summary;        ///< "INSERT agent_states"
    std::string name;           ///< of the prepared statement; empty: it has none
    std::size_t operations = 1; ///< that share it
    std::size_t attempt = 1;
    clock::time_point sent;
    clock::time_point oldest;          ///< when the first of its operations was called
    std::vector<span_context> callers; ///< the spans of its operations, where they have one
};

/// How it ended.
struct statement_outcome {
    clock::time_point answered;
    int rows = 0;
    std::string error;                   ///< a SQLSTATE, "connection_lost", or empty
    std::string_view sent_again_because; ///< empty: not sent again
    clock::duration acquire_wait{
        -1}; ///< of the connection, where this was the first to use it; else negative
};

/// An operation that is over.
struct operation_report {
    operation_id operation{};
    clock::time_point began;
    clock::time_point first_sent; ///< {}: never, like the others
    clock::time_point answered;
    clock::time_point ended;
    std::shared_ptr<const sent_statement> statement; ///< the last one that carried it
    std::size_t attempts = 0;
    std::string_view agent_id;
    std::string_view session_id;
    const pgstate::error* failure = nullptr;
};

/// Tells the user's logger, metrics and tracer what happened, in their terms.
///
/// Thread safety: const, from any thread. Every member but those that say otherwise calls the user's code: so not under a
/// lock, and not in an engine's strand, where a slow one would hold up everybody. What the user's code throws ends here.
class hub {
public:
    /// Null if there is nobody to tell: whoever holds the pointer then need not even look at the clock.
    static std::shared_ptr<const hub> create(options chosen);
    explicit hub(options chosen);

    bool traces() const noexcept { return options_.tracer != nullptr; } ///< calls nobody
    const place& where() const noexcept { return options_.where; }      ///< calls nobody

    /// The span of an operation; null for none. \param parent  if it is not valid, the calling thread's span
    std::unique_ptr<span> start_operation(operation_id what, const span_context& parent,
                                          clock::time_point began) const noexcept;
    /// \param traced  its span; null for none
    void operation_ended(const operation_report& what, span* traced) const noexcept;

    void statement_ended(const sent_statement& what, const statement_outcome& how) const noexcept;
    /// An operation that has a connection to itself now has it.
    void acquired(clock::duration wait) const noexcept;

    /// A worker's attempt to make a connection. \param failure  null: it was made
    void connect_ended(clock::time_point began, clock::time_point ended, const error* failure) const noexcept;

    /// A span of a part of an operation; null for none.
    std::unique_ptr<span> start(std::string_view name, span_kind kind, const span_context& parent,
                                clock::time_point began, std::span<const attribute> more = {}) const noexcept;
    std::unique_ptr<tracer::scope> activate(span& what) const noexcept;

    /// Something about the store as a whole, at level info.
    void log_life(std::string_view message) const noexcept;

    enum class owner { store, pool };
    /// A value that the metrics may read until what this gives is destroyed.
    std::unique_ptr<metrics::observation> observe(const instrument& what, owner whose,
                                                  std::initializer_list<attribute> labels,
                                                  std::function<double()> read) const noexcept;

private:
    struct successes {
        series_slot duration;
        series_slot queue_wait;
        series_slot statement;
        series_slot batch;
    };
    using rare_key = std::pair<const instrument*, std::string>;

    std::unique_ptr<metrics::series> open(const instrument& what, owner whose,
                                          std::span<const attribute> labels) const;
    void record(series_slot& to, const instrument& what, operation_id operation, double value) const;
    void record_rare(const instrument& what, owner whose, std::span<const attribute> labels,
                     double value) const;
    void log_operation(const operation_report& what) const;
    void finish_span(const operation_report& what, span& traced) const;
    void log(log_level level, std::string_view message, std::span<const attribute> attributes) const;
    bool logs(log_level level) const;
    std::vector<attribute> with_place(owner whose, std::span<const attribute> labels) const;

    const options options_;
    const std::string pool_name_;
    mutable std::array<successes, operation_ids> successes_;
    mutable series_slot acquire_wait_;
    mutable series_slot create_time_;
    mutable std::mutex mutex_;
    mutable std::map<rare_key, std::unique_ptr<series_slot>> rare_;
};

/// Ends a span now. \param traced  may be null \param failure  null: it went well
void end(const std::unique_ptr<span>& traced, const error* failure) noexcept;

/// Counts time and statements for one operation, and tells the hub when it is over. Belongs to the operation and follows
/// it: the engine's strand writes into it until the operation is settled, and the caller's executor ends it. Without a
/// hub it does nothing.
class operation_watch {
public:
    operation_watch() = default;
    operation_watch(operation_watch&&) = default;
    operation_watch& operator=(operation_watch&&) = default;

    /// \param began  when; not looked at without a hub
    void begin(const std::shared_ptr<const hub>& to, operation_id what, clock::time_point began,
               const span_context& parent) noexcept {
        if (!to) return;
        hub_ = to;
        report_.operation = what;
        report_.began = began;
        if (!hub_->traces()) return;
        span_ = hub_->start_operation(what, parent, began);
        keep_context();
    }

    explicit operator bool() const noexcept { return hub_ != nullptr; }
    /// Not valid without a span.
    const span_context& context() const noexcept { return context_; }
    clock::time_point began() const noexcept { return report_.began; }
    const std::shared_ptr<span>& traced() const noexcept { return span_; }

    /// \param connected  when the connection was acquired that it goes over
    void sent(const std::shared_ptr<const sent_statement>& statement, clock::time_point connected) noexcept {
        if (!hub_) return;
        if (report_.attempts++ == 0) report_.first_sent = statement->sent;
        report_.statement = statement;
        acquired(connected);
    }
    void acquired(clock::time_point at) noexcept { acquired_ = at; }
    void answered(clock::time_point at) noexcept { report_.answered = at; }

    /// The answer is about to be decoded.
    void decoding() noexcept {
        if (span_) decoding_ = clock::now();
    }
    void end(const std::exception_ptr& failure, std::string_view agent_id = {},
             std::string_view session_id = {}) noexcept;

private:
    void keep_context() noexcept;

    std::shared_ptr<const hub> hub_;
    std::shared_ptr<span> span_;
    span_context context_;
    clock::time_point acquired_;
    clock::time_point decoding_;
    operation_report report_;
};

} // namespace pgstate::telemetry

#endif
