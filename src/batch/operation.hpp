#ifndef PGSTATE_BATCH_OPERATION_HPP
#define PGSTATE_BATCH_OPERATION_HPP

#include "batch/admission.hpp"
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
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::batch {

using clock = std::chrono::steady_clock;

/// A write whose connection broke after it was sent, while it is found out whether it was applied.
struct doubt {
    kind asked{}; ///< what it is when that is known
    bool alone = false;
    std::size_t attempts = 0;
    bool fenced = false;
    wire::backend lost{}; ///< the server's process that had it
    clock::time_point sent{};
    wire::server_error why{}; ///< how the connection was lost
};

class operation;
using operation_ptr = boost::intrusive_ptr<operation>;

/// One caller's operation, from its submission to its completion. What it asks and what it makes of the answer belongs
/// to the layer above; the rest belongs to the engine, whose strand alone touches it once it is submitted, until it has
/// settled it: then the caller's executor reads what was settled.
class operation : public item, public boost::intrusive_ref_counter<operation, boost::thread_safe_counter> {
public:
    virtual ~operation() = default;

    /// Gives it a row of an answer, -1 for none. One `settle` for each operation.
    void settle(const wire::rows& rows, int row) noexcept {
        rows_ = rows;
        row_ = row;
    }
    void settle(error why) { failure_ = std::make_unique<error>(std::move(why)); }

    /// Asked when its probe has found `row`: whether it is to be sent once more, as that row came after the statement
    /// that found none to its liking.
    virtual bool once_more(const wire::rows&, int /*row*/) { return false; }

    /// Runs the caller's handler with what was settled; on the caller's executor, once. `self` is given up before the
    /// handler runs.
    virtual void complete(operation_ptr self) = 0;
    /// Has the executor of a caller who brought one run `complete`; never inside this call. \pre !on_store_executor
    virtual void post_completion(const boost::asio::any_io_executor& io) = 0;

    std::string_view name() const noexcept { return telemetry::name_of(id); } ///< for errors: "save", ...

    telemetry::operation_id id{};
    clock::time_point deadline = clock::time_point::max(); ///< when its time runs out
    bool on_store_executor = false;                        ///< its handler runs on the store's own executor
    std::unique_ptr<telemetry::operation_watch> watch;     ///< null: nobody wants to know
    admission::place place; ///< among what is pending, until its handler is called

    /// The name of the last statement that it went in, where that writes; the dialect's.
    std::int64_t write_name = 0;
    std::unique_ptr<doubt> in_doubt{}; ///< null: it is not; an operation is no larger for what is rare
    kind probed_for{};                 ///< of a probe: what it was before
    bool claims = false;               ///< its row is to be claimed before it is written; the dialect's
    /// Whether it was asked for as a write.
    bool writes() const noexcept { return is_write(in_doubt ? in_doubt->asked : what); }

    // The engine's own.
    operation* next_arrival = nullptr; ///< intake's
    boost::intrusive::list_member_hook<> accepted;
    boost::intrusive::set_member_hook<> by_deadline;
    std::size_t attempts = 0;
    bool completed = false; ///< its caller has its outcome; it may still be under way
    bool expired = false;   ///< ... because its time ran out

protected:
    const wire::rows& rows() const noexcept { return rows_; }
    int row() const noexcept { return row_; }
    /// What was settled, and the memory behind it, are no longer needed.
    std::unique_ptr<error> take_failure() noexcept { return std::move(failure_); }
    void release_rows() noexcept { rows_ = {}; }

private:
    wire::rows rows_;
    int row_ = -1;
    std::unique_ptr<error> failure_; ///< behind a pointer: an operation is no larger for it
};

} // namespace pgstate::batch

#endif
