#ifndef PGSTATE_STORE_OPERATIONS_HPP
#define PGSTATE_STORE_OPERATIONS_HPP

#include "batch/operation.hpp"
#include "detail/pending_completion.hpp"
#include "pgstate/detail/encoded_state.hpp"
#include "pgstate/operations.hpp"
#include "pool/core.hpp"
#include "store/cursor.hpp"

#include <boost/asio/any_completion_handler.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace pgstate::store {

/// An operation with a caller who waits for a `T`.
template <class T>
class caller_operation : public batch::operation {
public:
    using handler_type = boost::asio::any_completion_handler<void(std::exception_ptr, T)>;

    caller_operation(handler_type handler, boost::asio::any_io_executor executor)
        : completion_(std::move(handler), executor), executor_(std::move(executor)) {}

    void fail(error why) override {
        completion_.post(executor_,
                         [failure = std::make_exception_ptr(std::move(why))](handler_type handler) mutable {
                             std::move(handler)(std::move(failure), T());
                         });
    }

    boost::asio::cancellation_slot slot() const noexcept { return completion_.slot(); }

protected:
    /// Completes it with what `decode` makes of the answer, on the caller's executor.
    template <class Decode>
    void answer(Decode decode) {
        completion_.post(executor_, [decode = std::move(decode)](handler_type handler) mutable {
            std::exception_ptr failure;
            T value{};
            try {
                value = decode();
            } catch (...) {
                failure = std::current_exception();
            }
            std::move(handler)(std::move(failure), std::move(value));
        });
    }

private:
    detail::pending_completion<void(std::exception_ptr, T)> completion_;
    boost::asio::any_io_executor executor_;
};

/// save, create and replace.
class save_operation final : public caller_operation<saved> {
public:
    save_operation(detail::encoded_state state, bool if_unchanged, handler_type handler,
                   boost::asio::any_io_executor executor);
    void succeed(const wire::rows& rows, int row) override;

    const detail::encoded_state& state() const noexcept { return state_; }

private:
    detail::encoded_state state_;
};

class load_operation final : public caller_operation<std::optional<agent_state>> {
public:
    load_operation(std::string agent, std::string session, handler_type handler,
                   boost::asio::any_io_executor executor);
    void succeed(const wire::rows& rows, int row) override;

private:
    std::string agent_;
    std::string session_;
};

class erase_operation final : public caller_operation<bool> {
public:
    erase_operation(std::string agent, std::string session, handler_type handler,
                    boost::asio::any_io_executor executor);
    void succeed(const wire::rows& rows, int row) override;

private:
    std::string agent_;
    std::string session_;
};

class list_operation final : public caller_operation<session_page> {
public:
    list_operation(std::string agent, std::size_t limit, std::optional<list_position> after,
                   handler_type handler, boost::asio::any_io_executor executor);
    void succeed(const wire::rows& rows, int row) override;

    std::size_t limit() const noexcept { return limit_; }
    const std::optional<list_position>& after() const noexcept { return after_; }

private:
    std::string agent_;
    std::size_t limit_;
    std::optional<list_position> after_;
};

class count_operation final : public caller_operation<std::int64_t> {
public:
    count_operation(std::optional<std::string> agent, handler_type handler,
                    boost::asio::any_io_executor executor);
    void succeed(const wire::rows& rows, int row) override;

private:
    std::optional<std::string> agent_;
};

class health_operation final : public caller_operation<health_report> {
public:
    health_operation(std::shared_ptr<pool::core> pool, handler_type handler);
    void succeed(const wire::rows& rows, int row) override;

private:
    std::shared_ptr<pool::core> pool_;
    batch::clock::time_point started_ = batch::clock::now();
};

/// The conflict of a conditional save. \param current  the version there is, 0 for none
error conflict(std::int64_t wanted, std::int64_t current);

} // namespace pgstate::store

#endif
