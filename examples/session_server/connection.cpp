#include "connection.hpp"

#include "problem.hpp"
#include "request_id.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <ctime>
#include <optional>
#include <string>
#include <utility>

namespace session_server {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long a client that waits may keep a server from shutting down, and one that is refused from getting its answer.
constexpr milliseconds short_wait{500};
// What a client may go on sending after it was answered for good; and for how long.
constexpr std::size_t most_to_discard = std::size_t{64} << 20;
constexpr milliseconds longest_discard{2000};

auto failing_into(error_code& failure) {
    return asio::redirect_error(asio::use_awaitable, failure);
}

/// What the client is told of a request that could not be read; nothing where it is gone, or never began one.
std::optional<http_error> refusal_of(const error_code& failure, bool timed_out) {
    if (timed_out) return http_error(408, "the request took too long to arrive");
    if (failure == http::error::end_of_stream || failure == http::error::partial_message) return std::nullopt;
    if (failure == http::error::body_limit)
        return http_error(413, "the content is larger than this server takes");
    if (failure == http::error::header_limit)
        return http_error(431, "the header is larger than this server takes");
    if (failure == http::error::bad_version)
        return http_error(505, "this server speaks HTTP/1.1 and HTTP/1.0");
    const http::error any_of_beast = http::error::bad_method;
    if (failure.category() == make_error_code(any_of_beast).category())
        return http_error(400, "the request is not valid HTTP: " + failure.message());
    return std::nullopt;
}

std::string http_date() {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    char text[32];
    return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc)};
}

} // namespace

struct connection::incoming {
    http::request_parser<http::string_body> parser;
    request message;
    error_code failure;
    bool begun = false; ///< something of it came

    explicit incoming(const limits& bounds) {
        parser.header_limit(static_cast<std::uint32_t>(bounds.header));
        parser.body_limit(bounds.body);
    }

    /// Several header fields of one name are one list (RFC 9110, section 5.3).
    std::string joined(http::field name) const {
        std::string all;
        const auto [begin, end] = parser.get().equal_range(name);
        for (auto field = begin; field != end; ++field) {
            if (!all.empty()) all += ", ";
            all += std::string_view(field->value().data(), field->value().size());
        }
        return all;
    }

    void take_header() {
        const auto& header = parser.get();
        message.method = std::string(header.method_string());
        message.target = std::string(header.target());
        message.accept = joined(http::field::accept);
        message.content_type = joined(http::field::content_type);
        message.content_encoding = joined(http::field::content_encoding);
        message.if_match = joined(http::field::if_match);
        message.if_none_match = joined(http::field::if_none_match);
        message.id = request_id(header["X-Request-Id"]);
    }
};

connection::connection(asio::ip::tcp::socket socket, connection_context context, place given)
    : socket_(std::move(socket)), timer_(socket_.get_executor()), context_(context), place_(given) {
    error_code ignored;
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

asio::awaitable<void> connection::run() {
    while (co_await wait_for_request()) {
        const bool goes_on = co_await serve_request();
        if (!goes_on) break;
    }
    co_await close();
}

void connection::drain() {
    if (idle_) start_timer(patience());
}

milliseconds connection::patience() const {
    const bool hurried = context_.draining || place_ == place::none;
    return hurried ? short_wait : context_.bounds.idle_timeout;
}

// Only waits, so that nothing is read and lost when the time is up.
asio::awaitable<bool> connection::wait_for_request() {
    if (buffer_.size() != 0) co_return true;
    idle_ = true;
    start_timer(patience());
    error_code failure;
    co_await socket_.async_wait(asio::ip::tcp::socket::wait_read, failing_into(failure));
    stop_timer();
    idle_ = false;
    if (!failure) co_return true;
    error_code ignored;
    const bool came_just_now = timed_out_ && socket_.available(ignored) != 0;
    co_return came_just_now;
}

asio::awaitable<bool> connection::serve_request() {
    const auto began = steady_clock::now();
    incoming received(context_.bounds);
    start_timer(context_.bounds.read_timeout);
    co_await read(received);
    stop_timer();
    if (received.message.id.empty()) received.message.id = request_id({});
    const request& message = received.message;

    response answer;
    if (received.failure) {
        const auto refusal = refusal_of(received.failure, timed_out_ && received.begun);
        if (!refusal) co_return false;
        answer = to_response(refusal->what_happened(), message.id);
    } else if (place_ == place::none) {
        answer = to_response(problem_of({pgstate::errc::overloaded, "connect"}, {}), message.id);
    } else {
        answer = co_await context_.requests.answer(message);
    }

    const bool keep_open =
        !received.failure && received.parser.keep_alive() && !context_.draining && place_ == place::free;
    finished_request done{.id = message.id,
                          .method = message.method,
                          .route = answer.route,
                          .status = answer.status,
                          .bytes_received = message.body.size(),
                          .bytes_sent = message.method == "HEAD" ? 0 : answer.body.size()};
    const bool written = co_await write(received, std::move(answer), keep_open);
    done.duration = steady_clock::now() - began;
    context_.telemetry.record(done);
    const bool goes_on = written && keep_open;
    co_return goes_on;
}

asio::awaitable<void> connection::read(incoming& from) {
    co_await http::async_read_header(socket_, buffer_, from.parser, failing_into(from.failure));
    from.begun = from.parser.got_some();
    if (from.failure && !from.parser.is_header_done()) co_return;
    from.take_header();
    if (from.failure) co_return;
    const auto& header = from.parser.get();
    if (header.version() >= 11 && boost::beast::iequals(header[http::field::expect], "100-continue")) {
        constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await asio::async_write(socket_, asio::buffer(go_on), failing_into(from.failure));
        if (from.failure) co_return;
    }
    co_await http::async_read(socket_, buffer_, from.parser, failing_into(from.failure));
    from.message.body = std::move(from.parser.get().body());
}

asio::awaitable<bool> connection::write(const incoming& to, response what, bool keep_open) {
    const unsigned version = to.parser.is_header_done() ? to.parser.get().version() : 11;
    http::response<http::string_body> message(static_cast<http::status>(what.status), version);
    for (const auto& [name, value] : what.headers)
        message.set(name, value);
    message.set(http::field::date, http_date());
    message.set("X-Request-Id", to.message.id);
    message.keep_alive(keep_open);
    message.body() = std::move(what.body);
    const bool never_has_content = what.status == 204 || what.status == 304;
    if (!never_has_content) message.prepare_payload();       // Content-Length
    if (to.message.method == "HEAD") message.body().clear(); // which stays

    error_code failure;
    start_timer(context_.bounds.write_timeout);
    co_await http::async_write(socket_, message, failing_into(failure));
    stop_timer();
    co_return !failure;
}

// A socket that is closed with something unread resets the connection, and the answer may be lost on its way: so what the
// client is still sending is read first.
asio::awaitable<void> connection::close() {
    error_code failure;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, failure);
    start_timer(longest_discard);
    for (std::size_t discarded = 0; !failure && discarded < most_to_discard;) {
        buffer_.clear();
        discarded +=
            co_await socket_.async_read_some(buffer_.prepare(std::size_t{64} << 10), failing_into(failure));
    }
    stop_timer();
    socket_.close(failure);
}

void connection::start_timer(milliseconds time) {
    timed_out_ = false;
    timer_.expires_after(time);
    timer_.async_wait([self = shared_from_this(), number = ++timer_number_](const error_code&) {
        if (number != self->timer_number_) return; // stopped, or started anew
        self->timed_out_ = true;
        error_code ignored;
        self->socket_.cancel(ignored);
    });
}

void connection::stop_timer() {
    ++timer_number_;
    timer_.cancel();
}

} // namespace session_server
