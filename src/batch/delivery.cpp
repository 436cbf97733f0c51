#include "batch/delivery.hpp"

#include <boost/asio/post.hpp>

#include <chrono>
#include <utility>

namespace pgstate::batch {
namespace {

// A handler that takes longer than this should not hold up those after it, which another thread could run.
constexpr auto patience = std::chrono::milliseconds(1);

} // namespace

/// Completes a few operations, one after the other. What it has not come to when a handler throws or takes its time is
/// posted anew.
class delivery::round {
public:
    round(boost::asio::any_io_executor io, load what, std::weak_ptr<listener> then)
        : io_(std::move(io)), what_(std::move(what)), then_(std::move(then)) {}
    round(round&&) = default;

    void operator()() {
        const rest unfinished{*this};
        const auto until = clock::now() + patience;
        while (next_ < what_.size()) {
            auto each = std::move(what_[next_++]);
            auto* const operation = each.get();
            operation->complete(std::move(each));
            if (clock::now() > until) return;
        }
    }

private:
    struct rest {
        round& of;
        ~rest() {
            if (of.next_ == of.what_.size()) {
                if (const auto then = of.then_.lock()) then->delivered();
                return;
            }
            of.what_.erase(of.what_.begin(), of.what_.begin() + static_cast<std::ptrdiff_t>(of.next_));
            auto io = of.io_;
            boost::asio::post(io, round(io, std::move(of.what_), std::move(of.then_)));
            of.what_.clear();
            of.next_ = 0;
        }
    };

    boost::asio::any_io_executor io_;
    load what_;
    std::weak_ptr<listener> then_;
    std::size_t next_ = 0;
};

void delivery::add(operation_ptr completed) {
    if (!completed->on_store_executor) return completed->post_completion(io_);
    waiting_.push_back(std::move(completed));
    if (waiting_.size() == waiting_.capacity()) flush();
}

void delivery::flush(std::weak_ptr<listener> then) {
    if (waiting_.empty()) return;
    load sent;
    sent.swap(waiting_);
    boost::asio::post(io_, round(io_, std::move(sent), std::move(then)));
}

} // namespace pgstate::batch
