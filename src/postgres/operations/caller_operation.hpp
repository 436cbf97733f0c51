#ifndef PGSTATE_POSTGRES_OPERATIONS_CALLER_OPERATION_HPP
#define PGSTATE_POSTGRES_OPERATIONS_CALLER_OPERATION_HPP

#include "batch/operation.hpp"
#include "batch/operation_type.hpp"
#include "detail/complete.hpp"
#include "pgstate/detail/completion.hpp"
#include "pgstate/error.hpp"
#include "pgstate/result.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace pgstate::postgres {

/// What a cancellation slot holds of an operation. It does not keep the operation: a slot may outlive the event loop, and with it
/// all that an operation has to give back to it.
class weak_handle {
public:
    explicit weak_handle(batch::operation* what) noexcept : what_(what) {}
    /// Null: the operation is gone, as its event loop was destroyed before it completed.
    /// \pre the handler's executor does not run its completion meanwhile, as Asio wants it of who cancels
    batch::operation_ptr get() const noexcept { return batch::operation_ptr(what_.load()); }
    void expire() noexcept { what_.store(nullptr); }

private:
    std::atomic<batch::operation*> what_;
};

/// An operation with a caller who waits for a `T`.
template <class T>
class caller_operation : public batch::operation {
public:
    using handler_type = completion<T>;

    /// \param as  what it is sent as
    /// \param io  where the handler runs if it brings no executor of its own
    caller_operation(telemetry::operation_id which, const batch::operation_type& as, handler_type handler,
                     const boost::asio::any_completion_executor& io)
        : handler_(std::move(handler)) {
        id = which;
        asked = type = &as;
        auto where = boost::asio::get_associated_executor(handler_, io);
        on_store_executor = where == io;
        // The engine has work outstanding on the store's executor while it has operations.
        if (!on_store_executor) own_.emplace(std::move(where));
    }

    ~caller_operation() override {
        if (weak_handle_) weak_handle_->expire();
    }

    /// Made when it is first asked for.
    std::shared_ptr<const postgres::weak_handle> weak_handle() {
        if (!weak_handle_) weak_handle_ = std::make_shared<postgres::weak_handle>(this);
        return weak_handle_;
    }

    boost::asio::cancellation_slot slot() const noexcept {
        return boost::asio::get_associated_cancellation_slot(handler_);
    }

    void complete(batch::operation_ptr self) final {
        result<T> outcome = read();
        release_rows();
        if (const auto ended = std::move(watch)) ended->end(outcome, agent_id, session_id);
        auto handler = std::move(handler_);
        const auto own = std::move(own_); // its work ends when the handler is done
        // The slot may outlive the operation; from here on it must not reach it.
        if (auto slot = boost::asio::get_associated_cancellation_slot(handler); slot.is_connected())
            slot.clear();
        place.give_back();
        self.reset(); // what the handler starts may have the memory
        std::move(handler)(std::move(outcome));
    }

    void post_completion(const boost::asio::any_io_executor& io) final {
        boost::asio::post(
            io, boost::asio::bind_executor(own_->executor(), [self = batch::operation_ptr(this)]() mutable {
                auto* const me = self.get();
                me->complete(std::move(self));
            }));
    }

protected:
    /// Sets the key. \pre both parts belong to the operation
    void set_key(const std::string& agent, const std::string& session) {
        agent_id = agent;
        session_id = session;
        key_hash = batch::hash_key(agent_id, session_id);
        bytes = agent.size() + session.size();
    }

private:
    result<T> read() {
        if (const auto failure = take_failure()) return explain(std::move(*failure));
        if (watch) watch->decoding();
        try {
            return decode();
        } catch (...) {
            return to_error(std::current_exception());
        }
    }

    /// The caller's value, or its failure; on the caller's executor, so that it costs the caller's thread and not the
    /// store's.
    virtual result<T> decode() = 0;
    /// A failure in words that fit the operation.
    virtual error explain(error failure) const { return failure; }

    handler_type handler_;
    std::optional<detail::completion_work> own_; ///< of a caller who brought an executor
    std::shared_ptr<postgres::weak_handle> weak_handle_;
};

} // namespace pgstate::postgres

#endif
