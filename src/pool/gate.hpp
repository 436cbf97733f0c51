#ifndef PGSTATE_POOL_GATE_HPP
#define PGSTATE_POOL_GATE_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>

#include <mutex>
#include <optional>
#include <utility>

namespace pgstate::pool {

/// The way from a worker thread back to the event loop. Closed before the event loop may go away, after which a late
/// worker posts to nobody.
class gate {
public:
    explicit gate(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

    /// Posts `work`; false, with `work` not called and kept by the caller, when the gate is closed.
    template <class Work>
    bool post(Work&& work) {
        const std::lock_guard lock(mutex_);
        if (!executor_) return false;
        boost::asio::post(*executor_, std::forward<Work>(work));
        return true;
    }

    void close() {
        const std::lock_guard lock(mutex_);
        executor_.reset();
    }

private:
    std::mutex mutex_;
    std::optional<boost::asio::any_io_executor> executor_;
};

} // namespace pgstate::pool

#endif
