#ifndef PGSTATE_BATCH_ITEM_HPP
#define PGSTATE_BATCH_ITEM_HPP

#include <boost/intrusive/list_hook.hpp>
#include <boost/intrusive/set_hook.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pgstate::batch {

/// What operations have in common that may share a statement.
enum class kind : std::uint8_t {
    save,    ///< create or replace
    create,  ///< only if there is none
    replace, ///< only over a version
    change,  ///< of a part of a state, or of its expiry
    erase_version,
    probe,  ///< the version that a write met which found none to its liking
    settle, ///< whether a write was applied whose connection broke
    fence,  ///< that the server no longer works on it
    load,
    erase,
    list,
    list_agents,
    find,
    count_agent,
    count_all,
    estimate,
    health,
    sweep, ///< deletes what has expired; no write, as it may be sent again
};
inline constexpr std::size_t kinds = 18;

constexpr bool is_write(kind what) noexcept {
    return what <= kind::erase_version || what == kind::erase;
}
/// Kinds with a key are ordered by it and share statements; the others travel alone.
constexpr bool has_key(kind what) noexcept {
    return what <= kind::erase;
}

/// Kinds that may read much of the table, and so take long: they never get all of an engine's connections.
constexpr bool may_take_long(kind what) noexcept {
    return what == kind::list_agents || what == kind::find || what == kind::count_agent ||
           what == kind::count_all || what == kind::sweep;
}

/// An operation as the planner sees it. Belongs to its creator, which keeps it alive and in place from submit to
/// finished or withdraw.
struct item : boost::intrusive::list_base_hook<>, boost::intrusive::set_base_hook<> {
    enum class status : std::uint8_t {
        outside, ///< not submitted, or over
        blocked, ///< behind an operation for the same key
        ready,   ///< may be sent
        sent,    ///< in a batch
    };

    kind what = kind::load;
    std::string_view agent_id;
    std::string_view session_id;
    std::size_t key_hash = 0; ///< hash_key of the two
    std::size_t bytes = 0;    ///< what it adds to a statement
    bool alone = false;       ///< must not share a statement; may change while it is `sent`
    bool conditional = false; ///< a write that finds no row to its liking becomes a probe for what there is

    status state = status::outside;
    std::uint64_t order = 0; ///< when it was submitted

    // The planner's own.
    static constexpr std::uint16_t not_counted = 0xffff;
    std::uint16_t agent_place = not_counted; ///< where it is counted among its agent's ready ones
    bool in_crowd = false;                   ///< of those that are ready, more of its agent's came before it
};

} // namespace pgstate::batch

#endif
