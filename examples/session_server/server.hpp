#ifndef SESSION_SERVER_SERVER_HPP
#define SESSION_SERVER_SERVER_HPP

#include "connection.hpp"
#include "log.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <exception>
#include <memory>
#include <unordered_set>

namespace session_server {

/// Accepts connections, and lets go of them in good order.
/// Thread safety: none of its own: the coroutines run on the server's executor, a strand.
class server {
public:
    using executor_type = boost::asio::strand<boost::asio::any_io_executor>;

    /// Listens.
    /// \throws boost::system::system_error - the address cannot be listened on
    server(boost::asio::any_io_executor executor, const boost::asio::ip::tcp::endpoint& where,
           connection_context context, json_logger& log);

    executor_type get_executor() const { return strand_; }
    unsigned short port() const { return acceptor_.local_endpoint().port(); }

    /// Accepts connections, until `stop_accepting`.
    boost::asio::awaitable<void> run();

    /// From then on clients are refused, so that one that is told to close its connection cannot come back.
    boost::asio::awaitable<void> stop_accepting();

    /// Until every connection has been closed and `run` has ended.
    /// \pre accepts no more, and context.draining is set
    boost::asio::awaitable<void> drain();

private:
    void start(boost::asio::ip::tcp::socket socket);
    void end(const std::shared_ptr<connection>& which, std::exception_ptr failure);

    const executor_type strand_;
    boost::asio::ip::tcp::acceptor acceptor_;
    boost::asio::steady_timer ended_; ///< never expires; cancelled each time when something has ended
    bool accepting_ = false;          ///< `run` is under way
    std::unordered_set<std::shared_ptr<connection>> connections_;
    const connection_context context_;
    json_logger& log_;
};

} // namespace session_server

#endif
