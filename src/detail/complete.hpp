#pragma once

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

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

} // namespace pgstate::detail
