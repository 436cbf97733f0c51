#ifndef PGSTATE_BATCH_OPERATION_HPP
#define PGSTATE_BATCH_OPERATION_HPP

#include "batch/admission.hpp"
#include "batch/life.hpp"
#include "batch/planner.hpp"
#include "pgstate/error.hpp"
#include "telemetry/operation_watch.hpp"
#include "wire/rows.hpp"
#include "wire/session.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/intrusive/set.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate::batch {

using clock = std::chrono::steady_clock;

class operation_type;

/// The highest transaction horizon that a server's answers have carried so far.
struct horizon {
    wire::incarnation of{};
    std::uint64_t xmin = 0; ///< 0: none is known
};

/// A write whose connection broke after it was sent, while it is found out whether it was applied.
struct doubt {
    wire::backend lost{};     ///< the server process that had it
    horizon sent_at{};        ///< when the write was sent
    wire::server_error why{}; ///< how the connection was lost
};

class operation;
using operation_ptr = boost::intrusive_ptr<operation>;
/// The operations of a statement, sorted by key.
using operation_list = std::vector<operation_ptr>;

/// One caller's operation, from its submission to its completion. What it asks and what it makes of the answer belongs
/// to the layer above. The rest belongs to the engine: once the operation is submitted, the engine's strand alone touches
/// it, until it has an answer or a failure, which the caller's executor then reads.
class operation : public item, public boost::intrusive_ref_counter<operation, boost::thread_safe_counter> {
public:
    virtual ~operation() = default;

    /// Gives it a row of an answer, -1 for none.
    void set_answer(const wire::rows& rows, int row) noexcept {
        rows_ = rows;
        row_ = row;
    }
    void set_failure(error why) { failure_ = std::make_unique<error>(std::move(why)); }

    /// What it holds in memory for its statement, which may be more than what it adds to it.
    virtual std::size_t held_bytes() const noexcept { return bytes; }

    /// A write of a certain version only: that version.
    virtual std::optional<std::int64_t> if_version() const noexcept { return std::nullopt; }
    /// A write that is a conflict where it finds no matching row.
    virtual bool conditional() const noexcept { return false; }
    /// A write that finds no matching row, and then wants to know which version there is.
    virtual bool probes() const noexcept { return conditional(); }
    /// A write that may be applied twice: settling it means only that its first statement is over.
    virtual bool repeatable() const noexcept { return false; }
    /// Asked when its probe has found `row`: whether it is to be sent again, as that row came after the statement that
    /// found none.
    virtual bool wants_retry(const wire::rows&, int /*row*/) { return false; }

    /// Runs the caller's handler with the answer or the failure; on the caller's executor, once. `self` is given up before
    /// the handler runs.
    virtual void complete(operation_ptr self) = 0;
    /// Has the executor of a caller who brought one run `complete`; never inside this call. \pre !on_store_executor
    virtual void post_completion(const boost::asio::any_io_executor& io) = 0;

    std::string_view name() const noexcept { return telemetry::name_of(id); } ///< for errors: "save", ...
    bool writes() const noexcept { return asked->writes; }

    telemetry::operation_id id{};
    const traits* asked =
        nullptr; ///< what it was submitted as: item::type, unless it is probed, settled or fenced
    clock::time_point submitted{};                         ///< set where it has a deadline
    clock::time_point deadline = clock::time_point::max(); ///< when its time runs out
    bool on_store_executor = false;                        ///< its handler runs on the store's own executor
    std::unique_ptr<telemetry::operation_watch> watch;     ///< null: there is no telemetry
    admission::place place; ///< among what is pending, until its handler is called

    wire::uuid write_name{};           ///< of the last statement that it was sent in, where that writes
    std::unique_ptr<doubt> in_doubt{}; ///< null unless life::in_doubt()

    // The engine's own.
    operation* next_arrival = nullptr; ///< intake's
    boost::intrusive::list_member_hook<> accepted;
    boost::intrusive::set_member_hook<> by_deadline;
    batch::life life;

protected:
    const wire::rows& rows() const noexcept { return rows_; }
    int row() const noexcept { return row_; }
    /// The answer is that of a probe.
    bool probed() const noexcept { return type != asked; }
    /// Null: it has an answer.
    std::unique_ptr<error> take_failure() noexcept { return std::move(failure_); }
    void release_rows() noexcept { rows_ = {}; }

private:
    wire::rows rows_;
    int row_ = -1;
    std::unique_ptr<error> failure_;
};

} // namespace pgstate::batch

#endif
