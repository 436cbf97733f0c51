#include "pgstate/connection_pool.hpp"

#include "detail/pending_completion.hpp"
#include "pool/call.hpp"
#include "pool/core.hpp"
#include "pool/sql_error.hpp"

#include <boost/asio/error.hpp>

#include <mutex>
#include <optional>
#include <utility>

namespace pgstate {
namespace {

using close_completion = detail::pending_completion<void(std::exception_ptr)>;

/// The wait for a closing pool: ends when the pool says so or when it is cancelled, whichever is first.
struct close_wait {
    std::mutex mutex;
    std::optional<close_completion> completion;
    boost::asio::any_io_executor executor;

    void finish(std::exception_ptr failure) {
        std::optional<close_completion> mine;
        {
            const std::lock_guard guard(mutex);
            mine.swap(completion);
        }
        if (mine)
            mine->post(executor,
                       [failure = std::move(failure)](close_completion::handler_type handler) mutable {
                           std::move(handler)(std::move(failure));
                       });
    }
};

} // namespace

connection_pool::connection_pool(boost::asio::any_io_executor executor, const config& settings)
    : core_(pool::core::create(std::move(executor), settings::resolve(settings))) {}

connection_pool::connection_pool(std::shared_ptr<pool::core> core) noexcept : core_(std::move(core)) {}

connection_pool& connection_pool::operator=(connection_pool&& other) noexcept {
    if (core_ && core_ != other.core_) core_->shut_down();
    core_ = std::move(other.core_);
    return *this;
}

connection_pool::~connection_pool() {
    if (core_) core_->shut_down();
}

pool_stats connection_pool::stats() const {
    return core_->stats();
}

void connection_pool::reset() {
    core_->reset();
}

void connection_pool::start(std::function<void(pqxx::connection&)> callback, acquire_options options,
                            boost::asio::any_completion_handler<void(std::exception_ptr)> handler) {
    constexpr auto operation = "with_connection";
    auto guarded = [callback = std::move(callback)](pqxx::connection& connection,
                                                    const pool::abandoned_flag&) {
        try {
            callback(connection);
        } catch (...) {
            pool::rethrow_callback_failure(operation);
        }
    };
    const auto timeout = options.timeout.count() != 0 ? options.timeout : core_->config().operation_timeout;
    pool::call_with_connection(core_, std::move(guarded), {operation, timeout, false, false},
                               std::move(handler));
}

void connection_pool::start_close(boost::asio::any_completion_handler<void(std::exception_ptr)> handler) {
    auto wait = std::make_shared<close_wait>();
    wait->executor = core_->executor();
    wait->completion.emplace(std::move(handler), core_->executor());
    if (auto slot = wait->completion->slot(); slot.is_connected())
        slot.assign([weak = std::weak_ptr(wait)](boost::asio::cancellation_type) {
            if (const auto self = weak.lock())
                self->finish(std::make_exception_ptr(error(boost::asio::error::operation_aborted, "close")));
        });
    core_->close([wait] { wait->finish(nullptr); });
}

} // namespace pgstate
