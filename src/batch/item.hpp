#ifndef PGSTATE_BATCH_ITEM_HPP
#define PGSTATE_BATCH_ITEM_HPP

#include <boost/intrusive/list_hook.hpp>
#include <boost/intrusive/set_hook.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pgstate::batch {

struct turn_queue;

/// What operations of one type have in common, as far as it matters when they are sent.
struct traits {
    bool writes = false;     ///< changes rows
    bool keyed = false;      ///< is about one (agent, session), and ordered with the others of that key
    bool shares = false;     ///< may share a statement with others of its type. \pre keyed
    bool takes_long = false; ///< may read much of the table: never gets all connections of an engine
};

/// How an item is sent.
enum class manner : std::uint8_t {
    shared,  ///< together with others of its type, if that shares
    alone,   ///< by itself
    waiting, ///< by itself, and it may wait for a lock: so many at once as there are connections for that
};

/// An operation as the planner sees it. Belongs to its creator, which keeps it alive and in place from submit to
/// finished or withdraw.
struct item : boost::intrusive::list_base_hook<>, boost::intrusive::set_base_hook<> {
    enum class status : std::uint8_t {
        outside, ///< not submitted, or over
        blocked, ///< behind an operation for the same key
        ready,   ///< may be sent
        sent,    ///< in a batch
    };

    /// What it is sent as. Its address says which operations may share a statement. It may change while the item is
    /// `sent`; `keyed` stays as it is.
    const traits* type = nullptr;
    /// It has its key for itself: others of that key are before it or after it. A write has, also where it is first sent as
    /// something that only reads. Stays as it is.
    bool exclusive = false;
    std::string_view agent_id;
    std::string_view session_id;
    std::size_t key_hash = 0;    ///< hash_key of the two
    std::size_t bytes = 0;       ///< what it adds to a statement
    manner how = manner::shared; ///< may change while it is `sent` or `outside`

    status state = status::outside;
    std::uint64_t order = 0; ///< when it was submitted

    // The planner's own.
    static constexpr std::uint16_t not_counted = 0xffff;
    turn_queue* waiting_in = nullptr;        ///< where it is ready
    std::uint8_t counted_in = 0;             ///< the limited group that it was sent in; 0: none
    bool passed_over = false;                ///< a statement's worth of its agent's were ready before it
    std::uint16_t agent_place = not_counted; ///< where it is counted among its agent's ready ones
};

} // namespace pgstate::batch

#endif
