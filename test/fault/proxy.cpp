#include "fault/proxy.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <future>
#include <map>
#include <thread>
#include <type_traits>
#include <utility>

namespace pgstate_test {

namespace {

namespace proxy_asio = boost::asio;
using proxy_asio::ip::tcp;
using proxy_stream = proxy_asio::generic::stream_protocol;
using reuse_port = proxy_asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
constexpr auto proxy_awaited = proxy_asio::as_tuple(proxy_asio::use_awaitable);

proxy_stream::endpoint proxy_endpoint_of(const fault_proxy::target& server) {
    if (server.host_or_directory.starts_with('/'))
        return proxy_asio::local::stream_protocol::endpoint(server.host_or_directory + "/.s.PGSQL." +
                                                            std::to_string(server.port));
    return tcp::endpoint(proxy_asio::ip::make_address(server.host_or_directory), server.port);
}

void end_socket(proxy_stream::socket& socket, fault_proxy::ending how) {
    boost::system::error_code ignored;
    if (!socket.is_open()) return;
    if (how == fault_proxy::ending::rst) {
        socket.set_option(proxy_asio::socket_base::linger(true, 0), ignored);
    } else {
        // What is left unread would turn the end of the stream into a reset.
        std::array<char, 4096> unread;
        socket.non_blocking(true, ignored);
        while (!ignored && socket.read_some(proxy_asio::buffer(unread), ignored) > 0) {}
        socket.shutdown(proxy_asio::socket_base::shutdown_send, ignored);
    }
    socket.close(ignored);
}

struct armed_cut {
    std::uint64_t left = 0;
    fault_proxy::ending how{};
};

struct proxied_way {
    explicit proxied_way(proxy_asio::io_context& context) : wake(context) {}

    fault_proxy::conditions conditions;
    proxy_asio::steady_timer wake; ///< what a pump sleeps on; cancelled when something changes
    std::optional<armed_cut> cut;
    bool has_hole = false; ///< something was swallowed
    bool over = false;
};

struct proxied_connection {
    proxied_connection(proxy_asio::io_context& context, proxy_stream::socket accepted)
        : client(std::move(accepted)), server(context), to_server(context), to_client(context) {}

    proxied_way& at(fault_proxy::direction way) {
        return way == fault_proxy::direction::to_server ? to_server : to_client;
    }

    fault_proxy::connection_id id = 0;
    proxy_stream::socket client;
    proxy_stream::socket server;
    unsigned short port_to_server = 0; ///< this end's; 0: there is none
    proxied_way to_server;
    proxied_way to_client;
    bool black_hole = false;
};

} // namespace

/// Everything but the constructor and the destructor runs on the proxy's thread.
class fault_proxy::impl {
public:
    using connection_ptr = std::shared_ptr<proxied_connection>;

    explicit impl(const target& server)
        : server_(proxy_endpoint_of(server)), work_(context_.get_executor()), reserved_(context_) {
        // Bound and never listening: it keeps the port while connections are refused.
        reserved_.open(tcp::v4());
        reserved_.set_option(reuse_port(true));
        reserved_.bind(tcp::endpoint(proxy_asio::ip::address_v4::loopback(), 0));
        local_ = reserved_.local_endpoint();
        accept(arrivals::forward);
        thread_ = std::thread([this] { context_.run(); });
    }
    impl(const impl&) = delete;
    impl& operator=(const impl&) = delete;
    ~impl() {
        context_.stop();
        thread_.join();
    }

    template <class Function>
    auto call(Function function) {
        std::packaged_task<std::invoke_result_t<Function>()> task(std::move(function));
        auto result = task.get_future();
        proxy_asio::dispatch(context_, [&task] { task(); });
        return result.get();
    }

    unsigned short port() const noexcept { return local_.port(); }

    void set(direction way, const conditions& what) {
        conditions_.at(static_cast<std::size_t>(way)) = what;
        for (auto& [id, each] : open_)
            change(*each, way, what);
    }
    void set(connection_id of, direction way, const conditions& what) {
        if (const auto at = open_.find(of); at != open_.end()) change(*at->second, way, what);
    }

    void accept(arrivals what) {
        arrivals_ = what;
        if (what == arrivals::refuse) {
            if (acceptor_) acceptor_->close();
            acceptor_.reset();
        } else if (!acceptor_) {
            acceptor_ = std::make_shared<tcp::acceptor>(context_);
            acceptor_->open(tcp::v4());
            acceptor_->set_option(reuse_port(true));
            acceptor_->bind(local_);
            acceptor_->listen();
            proxy_asio::co_spawn(context_, serve(acceptor_), proxy_asio::detached);
        }
    }

    void cut(direction way, const armed_cut& what) { cut_any_.at(static_cast<std::size_t>(way)) = what; }
    void cut(connection_id of, direction way, const armed_cut& what) {
        if (const auto at = open_.find(of); at != open_.end()) at->second->at(way).cut = what;
    }
    void cut_next(direction way, const armed_cut& what) {
        cut_next_.at(static_cast<std::size_t>(way)) = what;
    }
    void disarm() {
        cut_any_ = {};
        cut_next_ = {};
        for (auto& [id, each] : open_)
            each->to_server.cut = each->to_client.cut = std::nullopt;
    }

    void reset_all(ending how) {
        const auto all = std::exchange(open_, {});
        for (const auto& [id, each] : all)
            sever(*each, how);
    }

    void calm() {
        disarm();
        set(direction::to_server, {});
        set(direction::to_client, {});
        const auto all = open_;
        for (const auto& [id, each] : all)
            if (each->black_hole || each->to_server.has_hole || each->to_client.has_hole)
                sever(*each, ending::rst);
        accept(arrivals::forward);
    }

    counts count() const {
        auto now = counts_;
        now.open = open_.size();
        return now;
    }
    std::vector<connection_id> connections() const {
        std::vector<connection_id> ids;
        for (const auto& [id, each] : open_)
            ids.push_back(id);
        return ids;
    }
    const std::set<unsigned short>& severed() const { return severed_; }

private:
    static void change(proxied_connection& of, direction way, const conditions& what) {
        of.at(way).conditions = what;
        of.at(way).wake.cancel();
    }

    /// A fault ends it, and neither of its ends.
    void sever(proxied_connection& what, ending how) {
        if (what.port_to_server != 0) severed_.insert(what.port_to_server);
        end(what, how);
    }

    void end(proxied_connection& what, ending how) {
        open_.erase(what.id);
        what.to_server.over = what.to_client.over = true;
        what.to_server.wake.cancel();
        what.to_client.wake.cancel();
        end_socket(what.server, how);
        end_socket(what.client, how);
    }

    proxy_asio::awaitable<void> serve(std::shared_ptr<tcp::acceptor> on) {
        for (;;) {
            auto [failed, accepted] = co_await on->async_accept(proxy_awaited);
            if (!on->is_open()) co_return;
            if (failed) continue;
            boost::system::error_code ignored;
            accepted.set_option(tcp::no_delay(true), ignored);
            auto made = std::make_shared<proxied_connection>(context_, std::move(accepted));
            made->id = counts_.connections++;
            made->to_server.conditions = conditions_[0];
            made->to_client.conditions = conditions_[1];
            made->to_server.cut = std::exchange(cut_next_[0], std::nullopt);
            made->to_client.cut = std::exchange(cut_next_[1], std::nullopt);
            made->black_hole = arrivals_ == arrivals::black_hole;
            open_.emplace(made->id, made);
            if (!made->black_hole) proxy_asio::co_spawn(context_, forward(made), proxy_asio::detached);
        }
    }

    proxy_asio::awaitable<void> forward(connection_ptr what) {
        const auto [failed] = co_await what->server.async_connect(server_, proxy_awaited);
        if (what->to_server.over) co_return;
        if (failed) {
            end(*what, ending::rst);
            co_return;
        }
        boost::system::error_code no_tcp;
        what->server.set_option(tcp::no_delay(true), no_tcp);
        if (const auto here = what->server.local_endpoint(); here.protocol().family() == AF_INET) {
            what->port_to_server = ntohs(reinterpret_cast<const sockaddr_in*>(here.data())->sin_port);
            severed_.erase(what->port_to_server); // it is another connection's now
        }
        proxy_asio::co_spawn(context_, pump(what, direction::to_server), proxy_asio::detached);
        proxy_asio::co_spawn(context_, pump(what, direction::to_client), proxy_asio::detached);
    }

    /// Passes on one direction until its stream ends or the connection is cut.
    proxy_asio::awaitable<void> pump(connection_ptr what, direction way) {
        auto& self = what->at(way);
        auto& from = way == direction::to_server ? what->client : what->server;
        auto& to = way == direction::to_server ? what->server : what->client;
        std::array<char, 16384> piece{};
        for (;;) {
            const auto [failed, size] =
                co_await from.async_read_some(proxy_asio::buffer(piece), proxy_awaited);
            while (!self.over && self.conditions.bytes == flow::stall)
                co_await sleep(self, std::chrono::hours(1));
            if (self.over) co_return;
            if (failed == proxy_asio::error::eof) break;
            if (failed) {
                end(*what, ending::rst);
                co_return;
            }
            if (self.conditions.delay.count() > 0) co_await sleep(self, self.conditions.delay);
            if (!co_await pass_on(*what, way, to, {piece.data(), size})) co_return;
        }
        boost::system::error_code reset;
        to.shutdown(proxy_asio::socket_base::shutdown_send, reset);
        self.over = true;
        // One side's end is the end of both for PostgreSQL, but what the other still has to say is let through.
        if (what->to_server.over && what->to_client.over) end(*what, ending::fin);
    }

    /// False if the connection is over.
    proxy_asio::awaitable<bool> pass_on(proxied_connection& what, direction way, proxy_stream::socket& to,
                                        proxy_asio::const_buffer bytes) {
        auto& self = what.at(way);
        while (bytes.size() > 0) {
            while (!self.over && self.conditions.bytes == flow::stall)
                co_await sleep(self, std::chrono::hours(1));
            if (self.over) co_return false;
            if (self.has_hole || self.conditions.bytes == flow::swallow) {
                self.has_hole = true;
                counts_.bytes_swallowed += bytes.size();
                co_return true;
            }
            const auto wanted = at_once(self.conditions, bytes.size());
            // Decided and counted before the write: whoever sees the bytes finds them counted.
            const auto [size, last] = allowed(self.cut, cut_any_.at(static_cast<std::size_t>(way)), wanted);
            if (size > 0) {
                (way == direction::to_server ? counts_.bytes_to_server : counts_.bytes_to_client) += size;
                ++(way == direction::to_server ? counts_.writes_to_server : counts_.writes_to_client);
                const auto [failed, written] =
                    co_await proxy_asio::async_write(to, proxy_asio::buffer(bytes, size), proxy_awaited);
                if (failed && !last) {
                    if (!self.over) end(what, ending::rst);
                    co_return false;
                }
            }
            if (last) {
                ++counts_.cuts;
                if (!self.over) sever(what, *last);
                co_return false;
            }
            bytes += size;
            if (self.conditions.bytes_per_second > 0) co_await sleep(self, throttle_pause);
        }
        co_return true;
    }

    static constexpr std::chrono::milliseconds throttle_pause{10};

    static std::size_t at_once(const conditions& now, std::size_t available) {
        if (now.one_byte_writes) return 1;
        if (now.bytes_per_second == 0) return available;
        const auto share = now.bytes_per_second * static_cast<std::size_t>(throttle_pause.count()) / 1000;
        return std::clamp<std::size_t>(share, 1, available);
    }

    /// How much of `wanted` the cuts let through, and how the connection ends after it, if it does.
    static std::pair<std::size_t, std::optional<ending>> allowed(std::optional<armed_cut>& own,
                                                                 std::optional<armed_cut>& any,
                                                                 std::size_t wanted) {
        std::uint64_t size = wanted;
        for (auto* cut : {&own, &any})
            if (*cut) size = std::min(size, (*cut)->left);
        std::optional<ending> last;
        for (auto* cut : {&own, &any}) {
            if (!*cut) continue;
            (*cut)->left -= size;
            if ((*cut)->left > 0) continue;
            last = (*cut)->how;
            cut->reset();
        }
        return {static_cast<std::size_t>(size), last};
    }

    static proxy_asio::awaitable<void> sleep(proxied_way& of, std::chrono::milliseconds time) {
        of.wake.expires_after(time);
        co_await of.wake.async_wait(proxy_awaited);
    }

    proxy_asio::io_context context_{1};
    const proxy_stream::endpoint server_;
    proxy_asio::executor_work_guard<proxy_asio::io_context::executor_type> work_;
    tcp::socket reserved_;
    tcp::endpoint local_;
    std::shared_ptr<tcp::acceptor> acceptor_;
    arrivals arrivals_ = arrivals::forward;
    std::array<conditions, 2> conditions_{};
    std::array<std::optional<armed_cut>, 2> cut_any_;
    std::array<std::optional<armed_cut>, 2> cut_next_;
    std::map<connection_id, connection_ptr> open_;
    std::set<unsigned short> severed_;
    counts counts_;
    std::thread thread_;
};

fault_proxy::fault_proxy(target server) : impl_(std::make_unique<impl>(server)) {}
fault_proxy::~fault_proxy() = default;

unsigned short fault_proxy::port() const noexcept {
    return impl_->port();
}
void fault_proxy::set(direction way, conditions what) {
    impl_->call([&] { impl_->set(way, what); });
}
void fault_proxy::set(connection_id of, direction way, conditions what) {
    impl_->call([&] { impl_->set(of, way, what); });
}
void fault_proxy::accept(arrivals what) {
    impl_->call([&] { impl_->accept(what); });
}
void fault_proxy::cut(direction way, std::uint64_t bytes, ending how) {
    impl_->call([&] { impl_->cut(way, {bytes, how}); });
}
void fault_proxy::cut(connection_id of, direction way, std::uint64_t bytes, ending how) {
    impl_->call([&] { impl_->cut(of, way, {bytes, how}); });
}
void fault_proxy::cut_next(direction way, std::uint64_t bytes, ending how) {
    impl_->call([&] { impl_->cut_next(way, {bytes, how}); });
}
void fault_proxy::disarm() {
    impl_->call([&] { impl_->disarm(); });
}
void fault_proxy::reset_all(ending how) {
    impl_->call([&] { impl_->reset_all(how); });
}
void fault_proxy::calm() {
    impl_->call([&] { impl_->calm(); });
}
fault_proxy::counts fault_proxy::count() const {
    return impl_->call([&] { return impl_->count(); });
}
std::vector<fault_proxy::connection_id> fault_proxy::connections() const {
    return impl_->call([&] { return impl_->connections(); });
}
std::set<unsigned short> fault_proxy::severed() const {
    return impl_->call([&] { return impl_->severed(); });
}

fault_proxy::target socket_of(const pgstate::embedded_server& server) {
    return {server.socket_directory().string(), server.port()};
}
fault_proxy::target tcp_of(const pgstate::embedded_server& server) {
    return {"127.0.0.1", server.port()};
}

std::string through(const fault_proxy& proxy, const std::string& database) {
    return "postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" + database +
           "?sslmode=disable&gssencmode=disable";
}
std::string through_with_password(const fault_proxy& proxy, const pgstate::embedded_server& server,
                                  const std::string& database) {
    auto uri = server.tcp_connection_string(database);
    const auto direct = ":" + std::to_string(server.port()) + "/";
    return uri.replace(uri.rfind(direct), direct.size(), ":" + std::to_string(proxy.port()) + "/");
}

} // namespace pgstate_test
