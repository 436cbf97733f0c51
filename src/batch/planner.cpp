#include "batch/planner.hpp"

#include <boost/assert.hpp>

#include <algorithm>
#include <tuple>
#include <utility>

namespace pgstate::batch {
namespace {

// Empty queues kept for the next keys: more than are ever in one statement, little enough to forget about.
constexpr std::size_t most_spares = 1024;

// Of so many turns one is that of the type that has waited longest for one; the others go by age.
constexpr std::uint64_t fair_turn_in = 4;

} // namespace

planner::group planner::group_of(const traits& type, manner how) noexcept {
    return how == manner::waiting ? waiting_for_lock : type.takes_long ? taking_long : unlimited;
}

bool planner::has_room(group in, const room& within) const noexcept {
    return in == unlimited || sent_in_[in] < (in == taking_long ? within.for_long : within.for_waiting);
}

manner planner::manner_of(const item& what) const noexcept {
    if (what.how != manner::shared) return what.how;
    const bool shares = limits_.enabled && what.type->shares && what.bytes <= limits_.max_bytes / 8;
    return shares ? manner::shared : manner::alone;
}

turn_queue& planner::queue_of(const item& what) {
    const auto how = manner_of(what);
    for (const auto& each : queues_)
        if (each->type == what.type && each->how == how) return *each;
    return *queues_.emplace_back(std::make_unique<turn_queue>(turn_queue{what.type, how}));
}

void planner::count_agent(item& what, const turn_queue& among) noexcept {
    what.passed_over = false;
    const std::size_t a_statement = among.how == manner::shared ? limits_.max_operations : 1;
    if (among.waiting.size() < a_statement) return;
    const auto place = std::hash<std::string_view>{}(what.agent_id) % ready_of_agents_.size();
    what.passed_over = ready_of_agents_[place]++ >= a_statement;
    what.agent_place = static_cast<std::uint16_t>(place);
}

void planner::make_ready(item& what) {
    what.state = item::status::ready;
    auto& among = queue_of(what);
    count_agent(what, among);
    among.waiting.add(what);
    what.waiting_in = &among;
    ++ready_;
    ++ready_in_[group_of(*among.type, among.how)];
}

/// Takes it off its list.
void planner::no_longer_ready(item& what) noexcept {
    auto& among = *std::exchange(what.waiting_in, nullptr);
    among.waiting.erase(what);
    --ready_;
    --ready_in_[group_of(*among.type, among.how)];
    if (what.agent_place == item::not_counted) return;
    --ready_of_agents_[what.agent_place];
    what.agent_place = item::not_counted;
}

planner::key_map::iterator planner::find_or_add(const item& what) {
    if (const auto at = keys_.find(key{what.key_hash, what.agent_id, what.session_id}); at != keys_.end())
        return at;
    std::unique_ptr<key_queue> queue;
    if (spare_.empty()) {
        queue = std::make_unique<key_queue>();
    } else {
        queue = std::move(spare_.back());
        spare_.pop_back();
    }
    queue->agent_id = what.agent_id;
    queue->session_id = what.session_id;
    const key name{what.key_hash, queue->agent_id, queue->session_id};
    return keys_.emplace(name, std::move(queue)).first;
}

void planner::submit(item& what) {
    BOOST_ASSERT(what.state == item::status::outside);
    what.order = ++submitted_;
    if (!what.type->keyed) return make_ready(what);

    auto& queue = *find_or_add(what)->second;
    const bool free = queue.waiting.empty() && !queue.writer && (!what.exclusive || queue.readers == 0);
    if (!free) {
        what.state = item::status::blocked;
        queue.waiting.push_back(what);
        ++blocked_;
        return;
    }
    occupy(queue, what);
    make_ready(what);
}

void planner::occupy(key_queue& key, item& what) {
    if (what.exclusive)
        key.writer = true;
    else
        ++key.readers;
}

bool planner::withdraw(item& what) {
    switch (what.state) {
    case item::status::outside:
    case item::status::sent: return false;
    case item::status::ready:
        no_longer_ready(what);
        leave(what);
        return true;
    case item::status::blocked: {
        const auto at = keys_.find(key{what.key_hash, what.agent_id, what.session_id});
        at->second->waiting.erase(list::s_iterator_to(what));
        --blocked_;
        what.state = item::status::outside;
        admit_waiting(at); // readers behind a withdrawn writer may go
        return true;
    }
    }
    return false;
}

void planner::no_longer_sent(item& what) noexcept {
    --sent_;
    --sent_in_[std::exchange(what.counted_in, unlimited)];
}

void planner::finished(item& what) {
    BOOST_ASSERT(what.state == item::status::sent);
    no_longer_sent(what);
    leave(what);
}

/// An operation at work on its key is gone.
void planner::leave(item& what) {
    what.state = item::status::outside;
    if (!what.type->keyed) return;
    const auto at = keys_.find(key{what.key_hash, what.agent_id, what.session_id});
    auto& queue = *at->second;
    if (what.exclusive)
        queue.writer = false;
    else
        --queue.readers;
    admit_waiting(at);
}

/// Lets those go who waited for what is over, and forgets a key that nobody uses.
void planner::admit_waiting(key_map::iterator at) {
    auto& queue = *at->second;
    while (!queue.waiting.empty() && !queue.writer) {
        auto& first = queue.waiting.front();
        if (first.exclusive && queue.readers > 0) return;
        queue.waiting.pop_front();
        --blocked_;
        occupy(queue, first);
        make_ready(first);
    }
    if (queue.writer || queue.readers > 0) return;
    auto unused = std::move(at->second);
    keys_.erase(at);
    if (spare_.size() < most_spares) spare_.push_back(std::move(unused));
}

void planner::again(item& what) {
    BOOST_ASSERT(what.state == item::status::sent);
    no_longer_sent(what);
    make_ready(what);
}

std::size_t planner::share(std::size_t places) const noexcept {
    places = std::max<std::size_t>(places, 1);
    return std::clamp((ready_ + sent_ + places - 1) / places,
                      std::min(smallest_share, limits_.max_operations), limits_.max_operations);
}

std::size_t planner::sendable(const room& within) const noexcept {
    const auto some = [this](group of, std::size_t most) {
        return std::min(ready_in_[of], most > sent_in_[of] ? most - sent_in_[of] : 0);
    };
    return ready_in_[unlimited] + some(taking_long, within.for_long) +
           some(waiting_for_lock, within.for_waiting);
}

planner::turn planner::next_turn(const room& within) noexcept {
    const bool fair = turns_ % fair_turn_in == fair_turn_in - 1;
    turn next;
    for (const auto& each : queues_) {
        if (each->waiting.empty() || !has_room(group_of(*each->type, each->how), within)) continue;
        if (next.whose) {
            auto& best = *next.whose;
            if (fair && best.last_turn < each->last_turn) continue;
            const bool decided = fair && each->last_turn < best.last_turn;
            if (!decided && best.waiting.front().order < each->waiting.front().order) continue;
        }
        next.whose = each.get();
    }
    if (fair) next.first = ready_queue::first::in_turn;
    return next;
}

std::vector<item*> planner::next(std::size_t connections, const room& within) {
    const auto now = next_turn(within);
    if (!now.whose) return {};
    now.whose->last_turn = ++turns_;

    auto& waiting = now.whose->waiting;
    const std::size_t most = now.whose->how == manner::shared ? share(connections) : 1;
    std::vector<item*> batch;
    batch.reserve(std::min(most, waiting.size()));
    std::size_t bytes = 0;
    while (batch.size() < most && !waiting.empty()) {
        auto& first = waiting.front(now.first);
        if (!batch.empty() && bytes + first.bytes > limits_.max_bytes) break;
        bytes += first.bytes;
        no_longer_ready(first);
        ++sent_;
        first.counted_in = group_of(*now.whose->type, now.whose->how);
        ++sent_in_[first.counted_in];
        first.state = item::status::sent;
        batch.push_back(&first);
    }
    std::sort(batch.begin(), batch.end(), [](const item* a, const item* b) {
        return std::tie(a->agent_id, a->session_id) < std::tie(b->agent_id, b->session_id);
    });
    return batch;
}

} // namespace pgstate::batch
