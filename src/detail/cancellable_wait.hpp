#pragma once

#include "detail/pending_completion.hpp"
#include "pgstate/error.hpp"

#include <boost/asio/error.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

namespace pgstate::detail {

/// A caller who waits for something to end, or gives up: completed once, by whichever is first. Thread-safe.
class cancellable_wait {
public:
    cancellable_wait(completion<void> handler, const boost::asio::any_io_executor& io)
        : io_(io), completion_(std::in_place, std::move(handler), io) {}

    static std::shared_ptr<cancellable_wait> start(completion<void> handler,
                                                   const boost::asio::any_io_executor& io,
                                                   std::string_view operation) {
        auto wait = std::make_shared<cancellable_wait>(std::move(handler), io);
        if (auto slot = wait->completion_->slot(); slot.is_connected())
            slot.assign([weak = std::weak_ptr(wait), operation](boost::asio::cancellation_type) {
                if (const auto self = weak.lock())
                    self->finish(error(boost::asio::error::operation_aborted, operation));
            });
        return wait;
    }

    void finish(result<void> outcome = {}) {
        std::optional<pending_completion<void>> mine;
        {
            const std::lock_guard guard(mutex_);
            mine.swap(completion_);
        }
        if (mine) mine->post(io_, std::move(outcome));
    }

private:
    const boost::asio::any_io_executor io_;
    std::mutex mutex_;
    std::optional<pending_completion<void>> completion_; // empty: finished
};

} // namespace pgstate::detail
