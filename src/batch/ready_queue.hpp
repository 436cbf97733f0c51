#ifndef PGSTATE_BATCH_READY_QUEUE_HPP
#define PGSTATE_BATCH_READY_QUEUE_HPP

#include "batch/item.hpp"

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>

namespace pgstate::batch {

/// Items by their age (`item::order`), the oldest first. Nearly all come in that order and cost what a list costs; one
/// that comes out of turn, because it waited for its key or is sent again, costs the logarithm of how many such there
/// are, however many others wait. Those marked `item::passed_over` are kept apart.
/// Refers to its items, which each are in one queue at most.
class ready_queue {
public:
    bool empty() const noexcept { return in_turn_.empty() && out_of_turn_.empty() && passed_over_.empty(); }
    std::size_t size() const noexcept { return in_turn_.size() + out_of_turn_.size() + passed_over_.size(); }

    /// Whom front() and pop_front() take.
    enum class first {
        oldest,
        in_turn, ///< the oldest of those that came in turn and are not marked, if there is one
    };
    /// \pre not empty; the same for pop_front()
    item& front(first which = first::oldest) noexcept {
        switch (next_part(which)) {
        case part::out_of_turn: return *out_of_turn_.begin();
        case part::passed_over: return passed_over_.front();
        case part::in_turn: break;
        }
        return in_turn_.front();
    }
    void pop_front(first which = first::oldest) noexcept { erase(front(which)); }

    /// \pre it is in no queue; `passed_over` does not change while it is in this one
    void add(item& what) noexcept {
        auto& others = list_of(what);
        if (others.empty() || others.back().order < what.order)
            others.push_back(what);
        else
            out_of_turn_.insert(what);
    }
    /// \pre it is in here
    void erase(item& what) noexcept {
        if (static_cast<const set_hook&>(what).is_linked())
            out_of_turn_.erase(out_of_turn_.iterator_to(what));
        else
            list_of(what).erase(list::s_iterator_to(what));
    }

private:
    using list = boost::intrusive::list<item>;
    using set_hook = boost::intrusive::set_base_hook<>;
    struct older {
        bool operator()(const item& a, const item& b) const noexcept { return a.order < b.order; }
    };
    enum class part { in_turn, out_of_turn, passed_over };

    list& list_of(const item& what) noexcept { return what.passed_over ? passed_over_ : in_turn_; }

    part next_part(first which) const noexcept {
        if (which == first::in_turn && !in_turn_.empty()) return part::in_turn;
        auto oldest = part::in_turn;
        auto order = in_turn_.empty() ? std::numeric_limits<std::uint64_t>::max() : in_turn_.front().order;
        if (!out_of_turn_.empty() && out_of_turn_.begin()->order < order) {
            oldest = part::out_of_turn;
            order = out_of_turn_.begin()->order;
        }
        return !passed_over_.empty() && passed_over_.front().order < order ? part::passed_over : oldest;
    }

    list in_turn_;
    list passed_over_;
    boost::intrusive::multiset<item, boost::intrusive::compare<older>> out_of_turn_;
};

} // namespace pgstate::batch

#endif
