#ifndef PGSTATE_STORE_OPERATIONS_HPP
#define PGSTATE_STORE_OPERATIONS_HPP

#include "batch/operation.hpp"
#include "detail/complete.hpp"
#include "pgstate/detail/completion.hpp"
#include "pgstate/detail/encoded_state.hpp"
#include "pgstate/operations.hpp"
#include "pool/core.hpp"
#include "store/change.hpp"
#include "store/cursor.hpp"
#include "store/search.hpp"
#include "wire/statement.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>

#include <chrono>
#include <cstddef>
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
    using handler_type = completion<T>;

    /// \param io  where the handler runs if it brings no executor of its own
    caller_operation(handler_type handler, const boost::asio::any_completion_executor& io)
        : handler_(std::move(handler)) {
        auto where = boost::asio::get_associated_executor(handler_, io);
        on_store_executor = where == io;
        // The engine has work outstanding on the store's executor while it has operations.
        if (!on_store_executor) own_.emplace(std::move(where));
    }

    boost::asio::cancellation_slot slot() const noexcept {
        return boost::asio::get_associated_cancellation_slot(handler_);
    }

    void complete(batch::operation_ptr self) final {
        result<T> outcome = finished();
        release_rows();
        if (const auto told = std::move(watch)) told->end(outcome, agent_id, session_id);
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

private:
    /// What the caller gets; on the caller's executor, so that it costs the caller's thread and not the store's.
    virtual T decode() = 0;
    /// A failure in words that fit the operation.
    virtual error explain(error failure) const { return failure; }

    result<T> finished() {
        if (const auto failure = take_failure()) return explain(std::move(*failure));
        if (watch) watch->decoding();
        try {
            return decode();
        } catch (...) {
            return to_error(std::current_exception());
        }
    }

    handler_type handler_;
    std::optional<detail::completion_work> own_; ///< of a caller who brought an executor
};

/// save, create and replace.
class save_operation final : public caller_operation<saved> {
public:
    /// \param ttl  0: never expires
    save_operation(detail::encoded_state state, bool if_unchanged, std::chrono::milliseconds ttl,
                   handler_type handler, const boost::asio::any_completion_executor& io);

    const detail::encoded_state& state() const noexcept { return state_; }
    std::chrono::milliseconds ttl() const noexcept { return ttl_; }

    bool once_more(const wire::rows& rows, int row) override;

private:
    saved decode() override;

    detail::encoded_state state_;
    std::chrono::milliseconds ttl_;
};

/// How a change is made beside what is changed.
struct change_terms {
    std::optional<std::int64_t> if_version{};
    std::chrono::milliseconds ttl{0};         ///< 0: as it is; of touch: never
    std::chrono::milliseconds created_ttl{0}; ///< of a state that is made; 0: never
};

/// touch, append, merge and increment.
class change_operation final : public caller_operation<saved> {
public:
    change_operation(telemetry::operation_id which, std::string agent, std::string session,
                     encoded_change change, change_terms terms, handler_type handler,
                     const boost::asio::any_completion_executor& io);

    change_form form() const noexcept { return change_.form; }
    std::optional<std::int64_t> if_version() const noexcept { return terms_.if_version; }
    /// What stays here until the statement is sent.
    void add_to(wire::parameters& values) const;

    bool once_more(const wire::rows& rows, int row) override;

private:
    saved decode() override;
    error explain(error failure) const override;

    std::string agent_;
    std::string session_;
    encoded_change change_;
    change_terms terms_;
    std::int64_t probed_version_ = 0; ///< 0: none
};

class load_operation final : public caller_operation<std::optional<agent_state>> {
public:
    load_operation(std::string agent, std::string session, handler_type handler,
                   const boost::asio::any_completion_executor& io);

private:
    std::optional<agent_state> decode() override;

    std::string agent_;
    std::string session_;
};

class erase_operation final : public caller_operation<bool> {
public:
    erase_operation(std::string agent, std::string session, std::optional<std::int64_t> if_version,
                    handler_type handler, const boost::asio::any_completion_executor& io);

    std::int64_t version() const noexcept { return *if_version_; } ///< \pre it has one

private:
    bool decode() override;

    std::string agent_;
    std::string session_;
    std::optional<std::int64_t> if_version_;
};

class list_operation final : public caller_operation<session_page> {
public:
    list_operation(std::string agent, std::size_t limit, std::optional<page_position> after,
                   handler_type handler, const boost::asio::any_completion_executor& io);

    std::size_t limit() const noexcept { return limit_; }
    const std::optional<page_position>& after() const noexcept { return after_; }

private:
    session_page decode() override;

    std::string agent_;
    std::size_t limit_;
    std::optional<page_position> after_;
};

class list_agents_operation final : public caller_operation<agent_page> {
public:
    list_agents_operation(std::size_t limit, std::optional<page_position> after, handler_type handler,
                          const boost::asio::any_completion_executor& io);

    std::size_t limit() const noexcept { return limit_; }
    const std::optional<page_position>& after() const noexcept { return after_; }

private:
    agent_page decode() override;

    std::size_t limit_;
    std::optional<page_position> after_;
};

class find_operation final : public caller_operation<state_page> {
public:
    /// \param by_index  there is an index over the documents
    find_operation(encoded_query query, const sql_text& sql, bool by_index, handler_type handler,
                   const boost::asio::any_completion_executor& io);

    const store::search& search() const noexcept { return search_; }

private:
    state_page decode() override;
    error explain(error failure) const override;

    const encoded_query query_;
    const store::search search_; ///< refers to the query
};

/// Counts, or asks for an estimate.
class count_operation final : public caller_operation<std::int64_t> {
public:
    count_operation(std::optional<std::string> agent, bool estimate, handler_type handler,
                    const boost::asio::any_completion_executor& io);

private:
    std::int64_t decode() override;

    std::optional<std::string> agent_;
};

/// What a batch of the sweeper came to.
struct swept {
    std::int64_t rows = 0; ///< that were deleted
    bool claimed = false;  ///< false: another store's sweeper was at it
};

class sweep_operation final : public caller_operation<swept> {
public:
    /// \param most  rows to delete
    sweep_operation(std::size_t most, handler_type handler, const boost::asio::any_completion_executor& io);

    std::size_t most() const noexcept { return most_; }

private:
    swept decode() override;

    std::size_t most_;
};

class health_operation final : public caller_operation<health_report> {
public:
    health_operation(std::shared_ptr<pool::core> pool, handler_type handler,
                     const boost::asio::any_completion_executor& io);

private:
    health_report decode() override;

    std::shared_ptr<pool::core> pool_;
    batch::clock::time_point started_ = batch::clock::now();
};

} // namespace pgstate::store

#endif
