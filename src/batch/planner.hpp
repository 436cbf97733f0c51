#ifndef PGSTATE_BATCH_PLANNER_HPP
#define PGSTATE_BATCH_PLANNER_HPP

#include "batch/item.hpp"
#include "batch/ready_queue.hpp"
#include "pgstate/config.hpp"

#include <boost/container_hash/hash.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::batch {

/// The hash that `item::key_hash` takes; made on the caller's thread, and used wherever the key is looked up.
inline std::size_t hash_key(std::string_view agent_id, std::string_view session_id) noexcept {
    std::size_t seed = std::hash<std::string_view>{}(agent_id);
    boost::hash_combine(seed, std::hash<std::string_view>{}(session_id));
    return seed;
}

/// The ready operations of a type that are sent in the same way.
struct turn_queue {
    const traits* type = nullptr;
    manner how = manner::shared;
    ready_queue waiting{};
    std::uint64_t last_turn = 0;
};

/// How many operations may be under way at once of those that hold a connection for long.
struct room {
    static constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();
    std::size_t for_long = no_limit;    ///< of types that may take long
    std::size_t for_waiting = no_limit; ///< of those that wait for a lock
};
/// On so many connections: one is left to the others, and a quarter may wait.
constexpr room room_on(std::size_t connections) noexcept {
    return {connections > 1 ? connections - 1 : 1, connections / 4};
}

/// Decides which waiting operations make up the next statement. Pure: no I/O, no clock, no lock.
///
/// - Operations for one key take effect in the order of their submission: a write runs alone, reads that follow each
///   other run together, and nobody overtakes. So the keys of the writes in a statement are distinct.
/// - Nothing joins a batch once next() has returned it.
/// - A batch holds one type, at most max_operations and max_bytes, sorted by key (so that writers of two processes lock
///   rows in one order). An operation too heavy to share travels alone, and holds no others back.
/// - The type of the oldest ready operation goes next. But each fourth turn is of the type that has had none for longest.
///   In that turn operations come last that waited for their key, and those of an agent of which a statement's worth was
///   ready before them. So no flood of one type, one agent or one key keeps the others waiting for more than a few
///   statements.
/// - Operations that may take long, or wait for a lock, are under way in limited numbers: others need not wait for their
///   connections.
class planner {
public:
    explicit planner(const batch_config& limits) noexcept : limits_(limits) {}

    /// \pre what.state is outside
    void submit(item& what);

    /// Takes an operation out that was not sent. False: it was, or is not here.
    bool withdraw(item& what);

    /// The next batch; empty if nothing is ready. Its items are `sent` until finished() or again().
    /// \param connections  how many there are to work on, but those that a long statement has: none gets more than its
    ///                     share of all that waits or is sent, so that a burst is split and batches stay of one size
    std::vector<item*> next(std::size_t connections, const room& within = {});

    /// How many are ready and not kept back by `within`. Zero: next() with the same would be empty.
    std::size_t sendable(const room& within) const noexcept;

    /// The share of each of `places`: what next() makes a batch of, within the caps.
    std::size_t share(std::size_t places) const noexcept;

    /// A sent operation is over: whoever waits for its key may go.
    void finished(item& what);

    /// A sent operation is to be sent again, before everything younger; it may have become another kind.
    void again(item& what);

    std::size_t ready() const noexcept { return ready_; }
    std::size_t blocked() const noexcept { return blocked_; }

    /// Batches are not made smaller than this for the sake of another connection.
    static constexpr std::size_t smallest_share = 8;

private:
    using list = boost::intrusive::list<item>;
    struct key {
        std::size_t hash;
        std::string_view agent_id;
        std::string_view session_id;
        friend bool operator==(const key&, const key&) = default;
    };
    struct hash_of {
        using is_avalanching = void; // std::hash of a string mixes well
        std::size_t operator()(const key& k) const noexcept { return k.hash; }
    };
    /// Who is at work on a key (ready or sent) and who waits. Holds the key's text, which the map only refers to.
    struct key_queue {
        std::string agent_id;
        std::string session_id;
        std::size_t readers = 0;
        bool writer = false;
        list waiting;
    };
    using key_map = boost::unordered_flat_map<key, std::unique_ptr<key_queue>, hash_of>;

    struct turn {
        turn_queue* whose = nullptr;
        ready_queue::first first = ready_queue::first::oldest;
    };

    /// The groups of limited size, and the others.
    enum group : std::uint8_t { unlimited, taking_long, waiting_for_lock, groups };
    static group group_of(const traits& type, manner how) noexcept;
    manner manner_of(const item& what) const noexcept;
    bool has_room(group in, const room& within) const noexcept;
    void no_longer_sent(item& what) noexcept;
    turn_queue& queue_of(const item& what);
    void count_agent(item& what, const turn_queue& among) noexcept;
    void no_longer_ready(item& what) noexcept;
    turn next_turn(const room& within) noexcept;
    void make_ready(item& what);
    void leave(item& what);
    void admit_waiting(key_map::iterator at);
    static void occupy(key_queue& key, item& what);
    key_map::iterator find_or_add(const item& what);

    batch_config limits_;
    std::vector<std::unique_ptr<turn_queue>> queues_; // few: three for each type at most
    key_map keys_;
    std::vector<std::unique_ptr<key_queue>> spare_; // so that a key costs no allocation in the long run
    /// How many are ready of the agents whose hash leads to a place. Counted is only what comes when more are ready than a
    /// statement takes: before that, there is nobody to be kept waiting.
    std::array<std::uint32_t, 1024> ready_of_agents_{};
    std::size_t ready_ = 0;
    std::size_t blocked_ = 0;
    std::size_t sent_ = 0;
    std::array<std::size_t, groups> ready_in_{}; // of these, by group
    std::array<std::size_t, groups> sent_in_{};
    std::uint64_t submitted_ = 0;
    std::uint64_t turns_ = 0;
};

} // namespace pgstate::batch

#endif
