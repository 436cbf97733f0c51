#ifndef PGSTATE_BATCH_OPERATION_HPP
#define PGSTATE_BATCH_OPERATION_HPP

#include "batch/planner.hpp"
#include "pgstate/error.hpp"
#include "wire/rows.hpp"

#include <boost/intrusive/set.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace pgstate::batch {

using clock = std::chrono::steady_clock;

/// One caller's operation, from its submission to its completion. What it asks and what it makes of the answer belongs
/// to the layer above; the rest belongs to the engine, whose strand alone touches it once it is submitted.
class operation : public item, public boost::intrusive_ref_counter<operation, boost::thread_safe_counter> {
public:
    virtual ~operation() = default;

    /// Completes it with a row of an answer, -1 for none. Called at most once, and then `fail` is not.
    virtual void succeed(const wire::rows& rows, int row) = 0;
    virtual void fail(error why) = 0;

    std::string_view name;                                 ///< for errors: "save", ...
    clock::time_point deadline = clock::time_point::max(); ///< when its time runs out

    // The engine's own.
    boost::intrusive::list_member_hook<> accepted;
    boost::intrusive::set_member_hook<> by_deadline;
    std::size_t attempts = 0;
    bool completed = false; ///< its caller has its outcome; it may still be under way
    bool expired = false;   ///< ... because its time ran out
};

using operation_ptr = boost::intrusive_ptr<operation>;

} // namespace pgstate::batch

#endif
