#ifndef PGSTATE_POOL_OPEN_CALLS_HPP
#define PGSTATE_POOL_OPEN_CALLS_HPP

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace pgstate::pool {

/// The calls that have a connection to themselves, or wait for one: they can be refused before the pool is closed, and those
/// that were let in be awaited. Thread-safe.
class open_calls {
public:
    /// One call: it is over when this ends. Null: it is refused.
    using place = std::shared_ptr<void>;

    static place enter(const std::shared_ptr<open_calls>& calls) {
        {
            const std::lock_guard lock(calls->mutex_);
            if (calls->closed_) return nullptr;
            ++calls->open_;
        }
        // The pointer is not null, and points to nothing that it would have to delete.
        return {static_cast<void*>(calls.get()), [calls](void*) { calls->leave(); }};
    }

    /// Refuses all that come from now on. `done` is called when the last one is over: inside this call if there is none, else
    /// where that one ends.
    void close(std::function<void()> done) {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
            if (open_ != 0) return close_handlers_.push_back(std::move(done));
        }
        done();
    }

private:
    void leave() {
        std::vector<std::function<void()>> told;
        {
            const std::lock_guard lock(mutex_);
            if (--open_ == 0) told.swap(close_handlers_);
        }
        for (const auto& each : told)
            each();
    }

    std::mutex mutex_;
    std::size_t open_ = 0;
    bool closed_ = false;
    std::vector<std::function<void()>> close_handlers_;
};

} // namespace pgstate::pool

#endif
