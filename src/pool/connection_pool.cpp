#include "pgstate/connection_pool.hpp"

#include "detail/cancellable_wait.hpp"
#include "pool/call.hpp"
#include "pool/core.hpp"
#include "pool/sql_error.hpp"

#include <cassert>
#include <utility>

namespace pgstate {
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
                            completion<void> handler) {
    assert(core_ && "with_connection of a pool that was moved from");
    constexpr auto operation = "with_connection";
    auto guarded = [callback = std::move(callback)](pqxx::connection& connection, const pool::call_context&) {
        try {
            callback(connection);
        } catch (...) {
            pool::rethrow_callback_failure(operation);
        }
    };
    const auto timeout = options.timeout.count() != 0 ? options.timeout : core_->config().operation_timeout;
    pool::call_with_connection(
        core_, std::move(guarded),
        {telemetry::operation_id::with_connection, timeout, false, false, options.parent},
        std::move(handler));
}

void connection_pool::start_close(completion<void> handler) {
    assert(core_ && "close of a pool that was moved from");
    auto wait = detail::cancellable_wait::start(std::move(handler), core_->executor(), "close");
    core_->close([wait] { wait->finish(); });
}

} // namespace pgstate
