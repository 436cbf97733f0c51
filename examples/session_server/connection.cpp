#include "connection.hpp"

#include "request_id.hpp"
#include "target.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <algorithm>
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
// What is held of a connection besides a header: the sizes of chunks and trailers, and what is read of the next request.
constexpr std::size_t read_ahead = std::size_t{64} << 10;
// As much as a connection that waits holds memory for.
constexpr std::size_t idle_read = 1024;

auto failing_into(error_code& failure) {
    return asio::redirect_error(asio::use_awaitable, failure);
}

std::string_view text_of(const boost::beast::flat_buffer& buffer) {
    return {static_cast<const char*>(buffer.data().data()), buffer.size()};
}

/// Whether the first line ends as those of another version do. Beast's bad_version is also what a wrong end of line is.
bool has_another_version(std::string_view received) {
    const auto line = received.substr(0, received.find("\r\n"));
    const auto version = line.substr(line.rfind(' ') + 1);
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    return version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) && version[6] == '.' &&
           is_digit(version[7]) && version != "HTTP/1.0" && version != "HTTP/1.1";
}

/// Beast 1.81 takes a line feed in a quoted extension, where others see the end of the chunk's size.
void check_chunk(std::uint64_t, boost::beast::string_view extensions, error_code& failure) {
    const auto is_control = [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; };
    if (std::any_of(extensions.begin(), extensions.end(), is_control))
        failure = http::error::bad_chunk_extension;
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
    error_code failure;                ///< it could not be read
    std::optional<http_error> refusal; ///< of its header
    bool begun = false;                ///< something of it came

    explicit incoming(const limits& bounds) {
        parser.header_limit(static_cast<std::uint32_t>(bounds.header));
        parser.body_limit(bounds.body);
        parser.on_chunk_header(check_chunk);
    }

    /// What RFC 9112 demands of a header and Beast does not. Where it is not certain at which byte a request ends, what
    /// follows would be run as another.
    /// \throws http_error
    void check_header() const {
        const auto& header = parser.get();
        if (header.count(http::field::transfer_encoding) != 0) {
            // Section 6.1. Beast itself refuses chunked beside Content-Length.
            if (header.version() < 11) throw http_error(400, "HTTP/1.0 has no Transfer-Encoding");
            const auto codings = joined(http::field::transfer_encoding);
            const auto comma = codings.find(',');
            const bool others_first = parser.chunked() && comma != 0 && comma < codings.size() - 1;
            if (!boost::beast::iequals(codings, "chunked"))
                throw http_error(others_first ? 501 : 400,
                                 "of the transfer codings this server takes only chunked, and only once");
        }
        // Section 3.2.
        const auto hosts = header.count(http::field::host);
        if (hosts > 1 || (hosts == 0 && header.version() >= 11))
            throw http_error(400, "a request has one header field Host");
        if (hosts == 1 && !is_host(header[http::field::host]))
            throw http_error(400, "Host is a host, and perhaps a port");
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
    : socket_(std::move(socket)), timer_(socket_.get_executor()), buffer_(context.bounds.header + read_ahead),
      context_(context), place_(given) {
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

/// Whether there is something of a request. An empty line before it is passed over (RFC 9112, section 2.2): some clients
/// end a body with one.
bool connection::has_begun() {
    while (text_of(buffer_).starts_with("\r\n"))
        buffer_.consume(2);
    return buffer_.size() > 1 || (buffer_.size() == 1 && text_of(buffer_) != "\r");
}

asio::awaitable<bool> connection::wait_for_request() {
    if (has_begun()) co_return true;
    idle_ = true;
    start_timer(patience());
    error_code failure;
    while (!failure && !has_begun()) {
        const auto room = buffer_.prepare(idle_read);
        buffer_.commit(co_await socket_.async_read_some(room, failing_into(failure)));
    }
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
    const auto refusal = refusal_of(received);
    if (received.failure && !refusal) co_return false;
    if (refusal) {
        answer = to_response(refusal->what_happened(), message.id);
    } else if (place_ == place::none) {
        answer = to_response(problem_of({pgstate::errc::overloaded, "connect"}, {}), message.id);
    } else {
        answer = co_await context_.requests.answer(message);
    }

    const bool keep_open =
        !refusal && received.parser.keep_alive() && !context_.draining && place_ == place::free;
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
    try {
        from.check_header();
    } catch (const http_error& e) {
        from.refusal = e;
        co_return;
    }
    const auto& header = from.parser.get();
    if (header.version() >= 11 && boost::beast::iequals(header[http::field::expect], "100-continue")) {
        constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await asio::async_write(socket_, asio::buffer(go_on), failing_into(from.failure));
        if (from.failure) co_return;
    }
    co_await http::async_read(socket_, buffer_, from.parser, failing_into(from.failure));
    from.message.body = std::move(from.parser.get().body());
}

/// What the client is told of a request that could not be taken; nothing where it could, or where the client is gone.
/// After each of these the connection is closed.
std::optional<http_error> connection::refusal_of(const incoming& received) const {
    const error_code& failure = received.failure;
    if (!failure) return received.refusal;
    if (timed_out_ && received.begun) return http_error(408, "the request took too long to arrive");
    if (failure == http::error::end_of_stream || failure == http::error::partial_message) return std::nullopt;
    if (failure == http::error::body_limit)
        return http_error(413, "the content is larger than this server takes");
    if (failure == http::error::header_limit || failure == http::error::buffer_overflow)
        return http_error(431, "the header is larger than this server takes");
    if (failure == http::error::bad_version && has_another_version(text_of(buffer_)))
        return http_error(505, "this server speaks HTTP/1.1 and HTTP/1.0");
    const http::error any_of_beast = http::error::bad_method;
    if (failure.category() == make_error_code(any_of_beast).category())
        return http_error(400, "the request is not valid HTTP: " + failure.message());
    return std::nullopt;
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
        discarded += co_await socket_.async_read_some(buffer_.prepare(read_ahead), failing_into(failure));
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
