#ifndef PGSTATE_SRC_DETAIL_COMPLETE_HPP
#define PGSTATE_SRC_DETAIL_COMPLETE_HPP

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/system_executor.hpp>

#include <memory>
#include <semaphore>
#include <thread>
#include <utility>

namespace pgstate::detail {

/// Runs `handler(args...)` on the handler's associated executor, by default `fallback`; never inside this call.
/// The executor of an any_completion_handler can only be dispatched to, so the way there is a post to `fallback`.
template <class Handler, class... Args>
void post_completion(const boost::asio::any_io_executor& fallback, Handler handler, Args... args) {
    boost::asio::post(fallback, boost::asio::append(std::move(handler), std::move(args)...));
}

/// Outstanding work on the executor where a handler will run: held from an operation's start to its completion, so
/// that an io_context does not run out of work in between.
class completion_work {
public:
    completion_work() = default;

    explicit completion_work(boost::asio::any_completion_executor where)
        : executor_(boost::asio::prefer(std::move(where), boost::asio::execution::outstanding_work.tracked)) {
    }

    template <class Handler>
    completion_work(const Handler& handler, const boost::asio::any_io_executor& fallback)
        : completion_work(
              boost::asio::any_completion_executor(boost::asio::get_associated_executor(handler, fallback))) {
    }

    /// Where the handler runs.
    const boost::asio::any_completion_executor& executor() const noexcept { return executor_; }

private:
    boost::asio::any_completion_executor executor_;
};

/// Runs `handler(args...)` on its associated executor for a handle that has no executor of its own; never inside this
/// call. The way there is by one of the system's threads, since the executor of an any_completion_handler can only be
/// dispatched to. The event loop may be destroyed as soon as the handler has run, so this call returns only when that
/// thread is done with it.
template <class Handler, class... Args>
void post_completion_from_nowhere(Handler handler, Args... args) {
    boost::asio::any_completion_executor where = boost::asio::get_associated_executor(
        handler, boost::asio::any_completion_executor(boost::asio::system_executor()));
    const auto through = std::make_shared<std::counting_semaphore<2>>(0);
    auto finish = [handler = std::move(handler), work = completion_work(where),
                   ... args = std::move(args)]() mutable { std::move(handler)(std::move(args)...); };
    boost::asio::post(boost::asio::system_executor(), [where = std::move(where), through,
                                                       finish = std::move(finish)]() mutable {
        auto run = [through, here = std::this_thread::get_id(), finish = std::move(finish)]() mutable {
            // An executor that runs it at once: the handler may need what this call's thread holds.
            if (std::this_thread::get_id() == here) through->release();
            std::move(finish)();
        };
        // The executor itself may be part of the event loop, so it goes first.
        boost::asio::dispatch(std::exchange(where, {}), std::move(run));
        through->release();
    });
    through->acquire();
}

} // namespace pgstate::detail

#endif
