#pragma once

#include "detail/complete.hpp"
#include "pgstate/detail/completion.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>

#include <concepts>
#include <utility>

namespace pgstate::detail {

/// The handler of an operation under way, with work on its executor so that its io_context does not stop meanwhile.
template <class T>
class pending_completion {
public:
    using handler_type = completion<T>;

    pending_completion(handler_type handler, const boost::asio::any_io_executor& fallback)
        : handler_(std::move(handler)), work_(handler_, fallback) {}

    boost::asio::cancellation_slot slot() const noexcept {
        return boost::asio::get_associated_cancellation_slot(handler_);
    }

    /// Calls `finish(handler)` on the handler's executor, never inside this call; `finish` makes the arguments there, so
    /// that decoding costs the caller's thread and not the store's. Call once.
    template <std::invocable<handler_type> Finish>
    void post(const boost::asio::any_io_executor& io, Finish finish) {
        boost::asio::any_completion_executor where = boost::asio::get_associated_executor(handler_, io);
        boost::asio::post(io, boost::asio::bind_executor(
                                  std::move(where), [handler = std::move(handler_), work = std::move(work_),
                                                     finish = std::move(finish)]() mutable {
                                      // The slot may outlive the operation; from here on it must not reach it.
                                      if (auto slot = boost::asio::get_associated_cancellation_slot(handler);
                                          slot.is_connected())
                                          slot.clear();
                                      std::move(finish)(std::move(handler));
                                  }));
    }

    /// Calls the handler with `outcome`, likewise.
    void post(const boost::asio::any_io_executor& io, result<T> outcome) {
        post(io, [outcome = std::move(outcome)](handler_type handler) mutable {
            std::move(handler)(std::move(outcome));
        });
    }

private:
    handler_type handler_;
    completion_work work_;
};

} // namespace pgstate::detail
