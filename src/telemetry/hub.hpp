#pragma once

#include "pgstate/error.hpp"
#include "pgstate/logger.hpp"
#include "pgstate/metrics.hpp"
#include "pgstate/tracer.hpp"
#include "telemetry/names.hpp"
#include "telemetry/reports.hpp"
#include "telemetry/series_slot.hpp"

#include <array>
#include <chrono>
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
#include <type_traits>
#include <utility>
#include <vector>

namespace pgstate::telemetry {

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

using observations = std::vector<std::unique_ptr<metrics::observation>>;

/// Tells the user's logger, metrics and tracer what happened, in their terms.
///
/// Thread safety: every member, from any thread. All but those that say otherwise call the user's code: so not under a
/// lock, and not in an engine's strand, where a slow one would hold up everybody. What the user's code throws ends here.
class hub {
public:
    /// Null if there is nobody to tell: whoever holds the pointer then need not even look at the clock.
    static std::shared_ptr<hub> create(options chosen);
    explicit hub(options chosen);

    bool traces() const noexcept { return options_.tracer != nullptr; } ///< calls nobody
    const place& where() const noexcept { return options_.where; }      ///< calls nobody

    /// Whose labels and attributes something gets.
    enum class owner { store, pool };

    /// Starts `what`; its attributes also get to say where the database is, for a client's span with the server. Null
    /// for none.
    std::unique_ptr<span> start(span_start what, owner whose = owner::store) noexcept;
    /// The calling thread's span.
    span_context current() noexcept;
    /// Makes `what` that span until the returned object is destroyed. \pre traces()
    std::unique_ptr<tracer::scope> activate(span& what) noexcept;

    /// \param traced  its span, which is ended; null for none
    void operation_ended(const operation_report& what, span* traced) noexcept;
    void statement_ended(const sent_statement& what, const statement_outcome& how) noexcept;
    /// A worker's attempt to make a connection. \param failure  null: it was made
    void connect_ended(clock::time_point began, clock::time_point ended, const error* failure) noexcept;
    /// Something about the store as a whole, at level info.
    void log_life(std::string_view message) noexcept;

    /// Of a sweep, at level warn. \param sqlstate  how the server refused to delete the last of them; empty: it did not
    void log_protected(std::uint64_t states, std::string_view sqlstate) noexcept;

    /// Lets the metrics read a value until what is added to `to` is destroyed.
    void show(observations& to, const instrument& what, owner whose, std::initializer_list<attribute> labels,
              std::function<double()> read) noexcept;

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
    void record(series_slot& to, const instrument& what, operation_id operation, double value);
    void record_rare(const instrument& what, owner whose, std::span<const attribute> labels, double value);
    void record_wait(clock::duration wait);
    void count_operation(const operation_report& what);
    void count_statement(const sent_statement& what, const statement_outcome& how);
    void log_operation(const operation_report& what) const;
    void log_statement(const sent_statement& what, const statement_outcome& how) const;
    void trace_statement(const sent_statement& what, const statement_outcome& how);
    void log(log_level level, std::string_view message, std::span<const attribute> attributes) const;
    bool logs(log_level level) const;
    std::vector<attribute> with_place(owner whose, std::span<const attribute> labels) const;

    const options options_;
    const std::string pool_name_;
    std::array<successes, operation_ids> successes_;
    series_slot acquire_wait_;
    series_slot create_time_;
    std::mutex mutex_;
    std::map<rare_key, std::unique_ptr<series_slot>> rare_;
};

/// Ends a span. \param failure  null: it went well
void end(span& traced, clock::time_point at, const error* failure) noexcept;

/// Runs `work`, a part of an operation that the server executes, in a span of its own; its failures are passed on.
/// \param to  null: nobody wants to know
template <class Work>
std::invoke_result_t<Work> in_span(hub* to, std::string_view name, const span_context& parent, Work work) {
    const auto traced =
        to ? to->start({.name = name, .kind = span_kind::client, .parent = parent, .at = clock::now()})
           : nullptr;
    if (!traced) return work();
    try {
        if constexpr (std::is_void_v<std::invoke_result_t<Work>>) {
            work();
            end(*traced, clock::now(), nullptr);
        } else {
            auto value = work();
            end(*traced, clock::now(), nullptr);
            return value;
        }
    } catch (...) {
        const auto why = to_error(std::current_exception());
        end(*traced, clock::now(), &why);
        throw;
    }
}

/// Calls the user's code; what that throws must not become an operation's failure.
template <class Call>
void guarded(Call call) noexcept {
    try {
        call();
    } catch (...) {
        // The user's logger, metrics or tracer failed: what it was to be told is lost.
    }
}

} // namespace pgstate::telemetry
