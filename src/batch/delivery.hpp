#ifndef PGSTATE_BATCH_DELIVERY_HPP
#define PGSTATE_BATCH_DELIVERY_HPP

#include "batch/operation.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/container/static_vector.hpp>

#include <cstddef>
#include <memory>
#include <utility>

namespace pgstate::batch {

/// Takes completed operations to their callers. Those whose handlers run on the store's executor go there several in one
/// post: a post for each would cost more than most of what the engine does for it.
class delivery {
public:
    /// Who wants to know that callers have been called, and so what they came back with at once.
    class listener {
    public:
        virtual ~listener() = default;
        /// On the store's executor, on any thread.
        virtual void delivered() = 0;
    };

    explicit delivery(boost::asio::any_io_executor io) : io_(std::move(io)) {}

    void add(operation_ptr completed);
    /// Posts what is still held back; to be called at the end of every turn of the engine.
    void flush() { flush({}); }
    /// The same, and tells `then` when that is completed.
    void flush(std::weak_ptr<listener> then);
    bool empty() const noexcept { return waiting_.empty(); }

    /// Completions in one post: few enough to spread a large batch over the threads that run the executor.
    static constexpr std::size_t most_in_one_post = 16;

private:
    using load = boost::container::static_vector<operation_ptr, most_in_one_post>;
    class round;

    const boost::asio::any_io_executor io_;
    load waiting_;
};

} // namespace pgstate::batch

#endif
