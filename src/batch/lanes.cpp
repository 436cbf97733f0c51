#include "batch/lanes.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace pgstate::batch {

class lanes::request final : public pool::waiter, public std::enable_shared_from_this<request> {
public:
    request(std::weak_ptr<listener> whom, strand_type strand)
        : whom_(std::move(whom)), strand_(std::move(strand)) {}

    void acquired(pool::lease got) override {
        if (const auto to = whom_.lock())
            boost::asio::post(strand_, [to, self = shared_from_this(), got = std::move(got)]() mutable {
                to->acquired(*self, std::move(got));
            });
    }
    void failed(const error& why) override {
        if (const auto to = whom_.lock())
            boost::asio::post(strand_, [to, self = shared_from_this(), why] { to->refused(*self, why); });
    }

private:
    const std::weak_ptr<listener> whom_;
    const strand_type strand_;
};

std::size_t lane::load() const noexcept {
    std::size_t sum = 0;
    for (const auto& each : flights)
        sum += each->operations.size();
    return sum;
}

bool lane::may_take_long() const noexcept {
    return std::any_of(flights.begin(), flights.end(),
                       [](const auto& each) { return each->operations.front()->type->takes_long; });
}

lanes::lanes(std::shared_ptr<pool::core> pool, strand_type strand, std::size_t most)
    : pool_(std::move(pool)), strand_(std::move(strand)), most_(most) {}

bool lanes::others_wait() const {
    const auto own =
        std::count_if(requests_.begin(), requests_.end(), [](const auto& each) { return !each->patient; });
    return pool_->waiting() > static_cast<std::size_t>(own);
}

std::size_t lanes::idle() const noexcept {
    return static_cast<std::size_t>(std::count_if(lanes_.begin(), lanes_.end(), [](const auto& each) {
        return each->flights.empty() && each->usable();
    }));
}

void lanes::ask_for(std::size_t ready, const std::weak_ptr<listener>& whom) {
    const auto wanted = pool_->config().batch.enabled
                            ? (ready + planner::smallest_share - 1) / planner::smallest_share
                            : ready;
    // One that was asked for beside other connections waits in earnest once these are gone.
    const bool all_patient =
        std::all_of(requests_.begin(), requests_.end(), [](const auto& each) { return each->patient; });
    if (lanes_.empty() && all_patient) withdraw_requests();
    while (idle() + requests_.size() < wanted && lanes_.size() + requests_.size() < most_) {
        if (auto got = pool_->try_acquire()) {
            keep(std::move(got), clock::duration(0));
        } else {
            requests_.push_back(std::make_shared<request>(whom, strand_));
            requests_.back()->patient = !lanes_.empty() || requests_.size() > 1;
            pool_->acquire(requests_.back());
        }
    }
}

void lanes::keep(pool::lease got, clock::duration waited) {
    got->use_executor(strand_);
    auto added = std::make_shared<lane>();
    added->lease = std::move(got);
    if (pool_->telemetry()) {
        added->acquired = clock::now();
        added->acquire_wait = waited;
    }
    lanes_.push_back(std::move(added));
}

void lanes::add(const request& asked, pool::lease got) {
    keep(std::move(got), asked.waited());
    forget(asked);
}

void lanes::forget(const request& asked) {
    std::erase_if(requests_, [&](const auto& each) { return each.get() == &asked; });
}

void lanes::withdraw_requests() {
    std::erase_if(requests_, [this](const auto& each) { return pool_->withdraw(*each); });
}

std::shared_ptr<lane> lanes::choose(bool fill_up) const {
    std::shared_ptr<lane> best;
    for (const auto& each : lanes_) {
        if (!each->usable()) continue;
        if (each->flights.empty()) return each;
        if (!fill_up || each->flights.size() >= pool_->config().batch.max_in_flight) continue;
        if (each->may_take_long()) continue;
        if (!best || each->load() < best->load()) best = each;
    }
    return best;
}

void lanes::give_back_idle() {
    std::erase_if(lanes_, [](const auto& each) {
        if (!each->flights.empty()) return false;
        if (each->retiring) each->lease->abandon("it is no longer wanted");
        return true; // the lease's end is what gives it back
    });
}

void lanes::drop_unusable() {
    std::erase_if(lanes_, [](const auto& each) {
        if (!each->flights.empty() || each->usable()) return false;
        if (each->retiring) each->lease->abandon("it is no longer wanted");
        return true;
    });
}

} // namespace pgstate::batch
