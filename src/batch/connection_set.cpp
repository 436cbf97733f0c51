#include "batch/connection_set.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace pgstate::batch {

class connection_set::request final : public pool::waiter, public std::enable_shared_from_this<request> {
public:
    request(std::weak_ptr<listener> whom, strand_type strand)
        : whom_(std::move(whom)), strand_(std::move(strand)) {}

    void acquired(pool::lease& got) override {
        const auto to = whom_.lock();
        if (!to) return;
        got_ = std::move(got);
        try {
            boost::asio::post(
                strand_, [to, self = shared_from_this()] { to->acquired(*self, std::move(self->got_)); });
        } catch (...) {
            got = std::move(got_);
            throw;
        }
    }
    void failed(const error& why) override {
        if (const auto to = whom_.lock())
            boost::asio::post(strand_, [to, self = shared_from_this(), why] { to->refused(*self, why); });
    }

private:
    const std::weak_ptr<listener> whom_;
    const strand_type strand_;
    pool::lease got_; // on its way to the strand
};

std::size_t leased_connection::load() const noexcept {
    std::size_t sum = 0;
    for (const auto& each : exchanges)
        sum += each->operations.size();
    return sum;
}

bool leased_connection::may_take_long() const noexcept {
    return std::any_of(exchanges.begin(), exchanges.end(), [](const auto& each) {
        const auto& first = *each->operations.front();
        return first.type->takes_long || first.how == manner::waiting;
    });
}

connection_set::connection_set(std::shared_ptr<pool::core> pool, strand_type strand, std::size_t most)
    : pool_(std::move(pool)), strand_(std::move(strand)), most_(most) {}

std::size_t connection_set::sharing() const noexcept {
    return static_cast<std::size_t>(std::count_if(connections_.begin(), connections_.end(),
                                                  [](const auto& each) { return !each->may_take_long(); }));
}

bool connection_set::others_wait() const {
    const auto own =
        std::count_if(requests_.begin(), requests_.end(), [](const auto& each) { return !each->optional; });
    return pool_->waiting() > static_cast<std::size_t>(own);
}

std::size_t connection_set::idle() const noexcept {
    return static_cast<std::size_t>(
        std::count_if(connections_.begin(), connections_.end(),
                      [](const auto& each) { return each->exchanges.empty() && each->usable(); }));
}

void connection_set::ask_for(std::size_t ready, const std::weak_ptr<listener>& whom) {
    const auto wanted = pool_->config().batch.enabled
                            ? (ready + planner::smallest_share - 1) / planner::smallest_share
                            : ready;
    // One that was asked for beside other connections waits in earnest once these are gone.
    const bool all_optional =
        std::all_of(requests_.begin(), requests_.end(), [](const auto& each) { return each->optional; });
    if (connections_.empty() && all_optional) withdraw_requests();
    while (idle() + requests_.size() < wanted && connections_.size() + requests_.size() < most_) {
        if (auto got = pool_->try_acquire()) {
            add_lease(std::move(got), clock::duration(0));
        } else {
            requests_.push_back(std::make_shared<request>(whom, strand_));
            requests_.back()->optional = !connections_.empty() || requests_.size() > 1;
            pool_->acquire(requests_.back());
        }
    }
}

void connection_set::add_lease(pool::lease got, clock::duration waited) {
    got->use_executor(strand_);
    auto added = std::make_shared<leased_connection>();
    added->lease = std::move(got);
    if (pool_->telemetry()) {
        added->acquired = clock::now();
        added->acquire_wait = waited;
    }
    connections_.push_back(std::move(added));
}

void connection_set::add(const request& asked, pool::lease got) {
    add_lease(std::move(got), asked.waited());
    forget(asked);
}

void connection_set::forget(const request& asked) {
    std::erase_if(requests_, [&](const auto& each) { return each.get() == &asked; });
}

void connection_set::withdraw_requests() {
    std::erase_if(requests_, [this](const auto& each) { return pool_->withdraw(*each); });
}

std::shared_ptr<leased_connection> connection_set::choose(bool fill_up) const {
    std::shared_ptr<leased_connection> best;
    for (const auto& each : connections_) {
        if (!each->usable()) continue;
        if (each->exchanges.empty()) return each;
        if (!fill_up || each->exchanges.size() >= pool_->config().batch.max_in_flight) continue;
        if (each->may_take_long()) continue;
        if (!best || each->load() < best->load()) best = each;
    }
    return best;
}

clock::time_point connection_set::first_overdue() const noexcept {
    auto first = clock::time_point::max();
    for (const auto& each : connections_)
        if (!each->exchanges.empty()) first = std::min(first, each->exchanges.front()->overdue);
    return first;
}

void connection_set::give_back_idle() {
    std::erase_if(connections_, [](const auto& each) {
        if (!each->exchanges.empty()) return false;
        if (each->retiring) each->lease->abandon("it is no longer wanted");
        return true; // the lease's end is what gives it back
    });
}

void connection_set::drop_unusable() {
    std::erase_if(connections_, [](const auto& each) {
        if (!each->exchanges.empty() || each->usable()) return false;
        if (each->retiring) each->lease->abandon("it is no longer wanted");
        return true;
    });
}

} // namespace pgstate::batch
