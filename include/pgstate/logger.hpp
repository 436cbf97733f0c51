#pragma once

#include "pgstate/attribute.hpp"
#include "pgstate/detail/export.hpp"

#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace pgstate {

/// How much a record matters; in this order, so that they compare.
enum class log_level {
    trace, ///< every statement
    debug, ///< every operation, and failures that programs expect: conflicts, refused arguments, cancellations
    info,  ///< the life of connections and stores
    warn,  ///< slow operations, failed ones, failed connects, retries
    error, ///< what the store cannot mend by itself: a table of another shape, a stored row that is no state
};

/// Lower case: "warn".
PGSTATE_API std::string_view to_string(log_level level) noexcept;

/// Something that happened. Only lent for the call.
struct log_record {
    log_level level = log_level::info;     ///< how much it matters
    std::string_view message;              ///< one of a fixed set, such as "operation failed"
    std::span<const attribute> attributes; ///< what varies; lent for the call
};

/// Where a store writes what happens; implement it over the program's own logging, or use `adapters/spdlog.hpp`.
///
/// Thread safety: both members are called from any thread, several at once.
/// Calls:         on the executor of the operation that the record is about, or on a worker thread of the pool; never
///                under a lock of the library's. A call that takes long delays that operation alone.
/// Exceptions:    are swallowed; the record is lost and nothing else.
/// Lifetime:      shared with every store and pool whose `config` names it.
class PGSTATE_API logger {
public:
    virtual ~logger();
    /// Whether records of `level` are wanted; asked before one is built.
    virtual bool enabled(log_level level) const = 0;
    /// Writes a record, also one of a level that is no longer wanted by now.
    virtual void log(const log_record& record) = 0;
};

/// Several loggers as one. A logger that throws does not keep the record from the others.
class PGSTATE_API composite_logger final : public logger {
public:
    /// Those that are null are left out.
    explicit composite_logger(std::vector<std::shared_ptr<logger>> loggers);
    bool enabled(log_level level) const override;
    void log(const log_record& record) override;

private:
    std::vector<std::shared_ptr<logger>> loggers_;
};

} // namespace pgstate
