#ifndef SESSION_SERVER_CONNECTION_HPP
#define SESSION_SERVER_CONNECTION_HPP

#include "options.hpp"
#include "problem.hpp"
#include "request_telemetry.hpp"
#include "service.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

namespace session_server {

/// What connections share; it outlives them.
struct connection_context {
    service& requests;
    request_telemetry& telemetry;
    const limits& bounds;
    const std::atomic<bool>& draining; ///< the server shuts down: each answer is the last of its connection
};

/// A client's connection: reads requests and writes their answers, one after the other, also where the client sent the
/// next request without waiting.
///
/// Thread safety: none; everything runs on the executor of the socket, which is a strand.
class connection : public std::enable_shared_from_this<connection> {
public:
    enum class place {
        free,
        none
    }; ///< none: there are as many connections as allowed, and the first request is told so

    connection(boost::asio::ip::tcp::socket socket, connection_context context, place given);

    boost::asio::ip::tcp::socket::executor_type get_executor() { return socket_.get_executor(); }

    /// Until the connection is closed.
    boost::asio::awaitable<void> run();

    /// The server shuts down. A request under way is answered; a client that waits has a moment for one more, because it
    /// may be on its way already.
    void drain();

private:
    struct incoming; ///< a request, and what of it Beast knows

    boost::asio::awaitable<bool> wait_for_request();
    bool has_begun();
    boost::asio::awaitable<bool> serve_request();
    boost::asio::awaitable<void> read(incoming& from);
    std::optional<http_error> refusal_of(const incoming& received) const;
    boost::asio::awaitable<bool> write(const incoming& to, response what, bool keep_open);
    boost::asio::awaitable<void> close();

    // What the socket waits for is cancelled when the time is up.
    void start_timer(std::chrono::milliseconds time);
    void stop_timer();

    std::chrono::milliseconds patience() const;

    boost::asio::ip::tcp::socket socket_;
    boost::asio::steady_timer timer_;
    std::uint64_t timer_number_ =
        0; ///< an expiry that was under way when its timer was stopped has an old number
    bool timed_out_ = false;
    bool idle_ = false;
    boost::beast::flat_buffer buffer_; ///< what has been read and belongs to the next request
    const connection_context context_;
    const place place_;
};

} // namespace session_server

#endif
