#include "batch/shards.hpp"

#include <atomic>
#include <cstddef>
#include <utility>

namespace pgstate::batch {

shards::shards(const std::shared_ptr<pool::core>& pool, const std::shared_ptr<dialect>& sql)
    : admission_(admission::create(pool->config().pending)) {
    const std::size_t count = pool->config().batch.shards;
    const std::size_t connections = pool->config().pool.max_conns;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t share = connections / count + (i < connections % count ? 1 : 0);
        engines_.push_back(std::make_shared<engine>(pool, sql, share));
    }
}

admission::place shards::enter(std::string_view operation) const {
    if (closed_.load(std::memory_order_acquire)) throw error(errc::closed, operation);
    auto place = admission_->enter(0);
    if (!place) throw error(errc::overloaded, operation, admission_->refusal(0));
    return place;
}

void shards::submit(operation_ptr what) {
    const auto& to = of(*what);
    if (closed_.load(std::memory_order_acquire)) {
        error closed(errc::closed, what->name());
        return to->refuse(std::move(what), std::move(closed));
    }
    what->place = admission_->enter(what->held_bytes());
    if (!what->place) {
        error overloaded(errc::overloaded, what->name(), admission_->refusal(what->held_bytes()));
        return to->refuse(std::move(what), std::move(overloaded));
    }
    to->submit(std::move(what));
}

void shards::close(std::function<void()> done) {
    closed_.store(true, std::memory_order_release);
    const auto open = std::make_shared<std::atomic<std::size_t>>(engines_.size());
    for (const auto& each : engines_)
        each->close([open, done] {
            if (open->fetch_sub(1) == 1) done();
        });
}

void shards::shut_down() {
    closed_.store(true, std::memory_order_release);
    for (const auto& each : engines_)
        each->shut_down();
}

counters shards::count() const noexcept {
    counters sum;
    for (const auto& each : engines_) {
        const auto one = each->count();
        sum.operations += one.operations;
        sum.statements += one.statements;
        sum.operations_sent += one.operations_sent;
        sum.retries += one.retries;
        sum.conflicts += one.conflicts;
        sum.bytes_sent += one.bytes_sent;
        sum.bytes_received += one.bytes_received;
        sum.queued += one.queued;
    }
    sum.pending = admission_->operations();
    sum.pending_bytes = admission_->bytes();
    return sum;
}

} // namespace pgstate::batch
