#ifndef PGSTATE_BATCH_READY_QUEUE_HPP
#define PGSTATE_BATCH_READY_QUEUE_HPP

#include "batch/item.hpp"

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <cstddef>

namespace pgstate::batch {

/// Items by their age (`item::order`), the oldest first. Nearly all come in that order and cost what a list costs; one
/// that comes out of turn, because it waited for its key or is sent again, costs the logarithm of how many such there
/// are, however many others wait. Refers to its items, which each are in one queue at most.
class ready_queue {
public:
    bool empty() const noexcept { return in_turn_.empty() && out_of_turn_.empty(); }
    std::size_t size() const noexcept { return in_turn_.size() + out_of_turn_.size(); }

    /// Whom front() and pop_front() take.
    enum class first {
        oldest,
        in_turn, ///< the oldest of those that came in turn, if there is one
    };
    /// \pre not empty; the same for pop_front()
    item& front(first which = first::oldest) noexcept {
        return first_is_in_turn(which) ? in_turn_.front() : *out_of_turn_.begin();
    }
    void pop_front(first which = first::oldest) noexcept {
        if (first_is_in_turn(which))
            in_turn_.pop_front();
        else
            out_of_turn_.erase(out_of_turn_.begin());
    }

    void add(item& what) noexcept {
        if (in_turn_.empty() || in_turn_.back().order < what.order)
            in_turn_.push_back(what);
        else
            out_of_turn_.insert(what);
    }
    /// \pre it is in here
    void erase(item& what) noexcept {
        if (static_cast<const set_hook&>(what).is_linked())
            out_of_turn_.erase(out_of_turn_.iterator_to(what));
        else
            in_turn_.erase(in_turn_.iterator_to(what));
    }

private:
    using set_hook = boost::intrusive::set_base_hook<>;
    struct older {
        bool operator()(const item& a, const item& b) const noexcept { return a.order < b.order; }
    };

    bool first_is_in_turn(first which) const noexcept {
        if (out_of_turn_.empty()) return true;
        if (in_turn_.empty()) return false;
        return which == first::in_turn || in_turn_.front().order < out_of_turn_.begin()->order;
    }

    boost::intrusive::list<item> in_turn_;
    boost::intrusive::multiset<item, boost::intrusive::compare<older>> out_of_turn_;
};

} // namespace pgstate::batch

#endif
