#include "server.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <string_view>
#include <utility>

namespace session_server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

} // namespace

server::server(asio::any_io_executor executor, const tcp::endpoint& where, connection_context context,
               json_logger& log)
    : strand_(executor), acceptor_(strand_, where), ended_(strand_), context_(context), log_(log) {
    ended_.expires_at(asio::steady_timer::time_point::max());
}

asio::awaitable<void> server::run() {
    accepting_ = true;
    while (acceptor_.is_open()) {
        error_code failure;
        tcp::socket socket(asio::make_strand(strand_.get_inner_executor()));
        co_await acceptor_.async_accept(socket, asio::redirect_error(asio::use_awaitable, failure));
        if (!failure) {
            start(std::move(socket));
        } else if (failure != asio::error::operation_aborted && failure != asio::error::connection_aborted) {
            // No descriptors are left, most likely; those that are accepted already will end some time.
            log_.write(pgstate::log_level::warn, "cannot accept",
                       {{"error.message", std::string_view(failure.message())}});
            asio::steady_timer pause(strand_, std::chrono::milliseconds(100));
            co_await pause.async_wait(asio::use_awaitable);
        }
    }
    accepting_ = false;
    ended_.cancel();
}

void server::start(tcp::socket socket) {
    const std::size_t most = context_.bounds.connections;
    if (connections_.size() >= most + most / 2 + 1) return; // not even told so; closes the socket
    const auto place = connections_.size() < most ? connection::place::free : connection::place::none;
    const auto made = std::make_shared<connection>(std::move(socket), context_, place);
    connections_.insert(made);
    context_.telemetry.connections().Increment();
    asio::co_spawn(
        made->get_executor(), made->run(),
        asio::bind_executor(strand_, [this, made](std::exception_ptr failure) { end(made, failure); }));
}

void server::end(const std::shared_ptr<connection>& which, std::exception_ptr failure) {
    connections_.erase(which);
    context_.telemetry.connections().Decrement();
    ended_.cancel();
    if (!failure) return;
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& e) {
        log_.write(pgstate::log_level::error, "a connection failed",
                   {{"error.message", std::string_view(e.what())}});
    }
}

asio::awaitable<void> server::stop_accepting() {
    acceptor_.cancel();
    acceptor_.non_blocking(true);
    // Clients whose connections the system has accepted already may have sent a request.
    for (error_code none_left; !none_left;) {
        tcp::socket socket(asio::make_strand(strand_.get_inner_executor()));
        acceptor_.accept(socket, none_left);
        if (!none_left) start(std::move(socket));
    }
    acceptor_.close();
    co_return;
}

asio::awaitable<void> server::drain() {
    for (const auto& open : connections_)
        asio::dispatch(open->get_executor(), [open] { open->drain(); });
    while (accepting_ || !connections_.empty()) {
        error_code cancelled;
        co_await ended_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    }
}

} // namespace session_server
