#pragma once

#include "pgstate/attribute.hpp"
#include "pgstate/detail/export.hpp"

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace pgstate {

/// What the values of an instrument mean.
enum class instrument_kind {
    counter,   ///< a sum that only grows
    gauge,     ///< a value of the moment, which may fall; several of the same labels add up
    histogram, ///< how often a value fell between which bounds
};

/// What is measured. The instruments of the library are constants: their addresses are their identities.
struct instrument {
    std::string_view name;        ///< OpenTelemetry's, as "db.client.operation.duration", or "pgstate.…"
    std::string_view unit;        ///< of UCUM: "s", "By", "{connection}"
    std::string_view description; ///< a sentence, for people
    instrument_kind kind = instrument_kind::counter; ///< what its values mean
    std::span<const double>
        bounds{}; ///< a histogram's buckets: upper bounds, ascending; empty for the others
};

/// Where a store counts and times; implement it over the program's own metrics, or use `adapters/prometheus.hpp` or
/// `adapters/opentelemetry.hpp`.
///
/// The sets of labels are bounded: operations, outcomes, states, reasons; never an agent's or a session's id. So each
/// series is asked for once and kept, and recording into it should cost little: some are recorded into once for every
/// operation.
///
/// Thread safety: `open` and `observe` are called from any thread, as are the members of what they return.
/// Exceptions:    are swallowed; the value is lost and nothing else.
/// Lifetime:      shared with every store and pool whose `config` names it; what it returns never outlives it.
class PGSTATE_API metrics {
public:
    /// One series: an instrument with its labels.
    class PGSTATE_API series {
    public:
        virtual ~series();
        /// A counter: adds `value`, which is not negative. A histogram: records it. (A gauge is observed instead.)
        virtual void record(double value) = 0;
    };
    /// A value that the back end reads when it wants to; ends with this object, which waits for a reading under way.
    class PGSTATE_API observation {
    public:
        virtual ~observation();
    };

    virtual ~metrics();

    /// A series to record into; null: not wanted.
    virtual std::unique_ptr<series> open(const instrument& what, std::span<const attribute> labels) = 0;

    /// A counter or a gauge that `read` gives; it is called from any thread, and calls none of these. Null: not
    /// wanted. By default nothing is observed: `postgres_store::stats()` has the same values.
    virtual std::unique_ptr<observation> observe(const instrument& /*what*/,
                                                 std::span<const attribute> /*labels*/,
                                                 std::function<double()> /*read*/) {
        return nullptr;
    }
};

/// Several metrics as one.
class PGSTATE_API composite_metrics final : public metrics {
public:
    /// Those that are null are left out.
    explicit composite_metrics(std::vector<std::shared_ptr<metrics>> all);
    std::unique_ptr<series> open(const instrument& what, std::span<const attribute> labels) override;
    std::unique_ptr<observation> observe(const instrument& what, std::span<const attribute> labels,
                                         std::function<double()> read) override;

private:
    std::vector<std::shared_ptr<metrics>> all_;
};

} // namespace pgstate
