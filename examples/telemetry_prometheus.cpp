// How Prometheus gets the store's metrics: pgstate::prometheus_metrics is what prometheus-cpp's HTTP server exposes. The
// program then asks for the page as Prometheus would, and prints some of it.
// Runs on a private PostgreSQL.
#include <pgstate/adapters/prometheus.hpp>
#include <pgstate/embedded_server.hpp>
#include <pgstate/pgstate.hpp>

#include <boost/asio.hpp>

#include <prometheus/exposer.h>

#include <cstdint>
#include <exception>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

namespace asio = boost::asio;

namespace {

asio::awaitable<std::string> get_metrics(std::uint16_t port) {
    asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
    co_await socket.async_connect({asio::ip::address_v4::loopback(), port}, asio::use_awaitable);
    const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
    co_await asio::async_write(socket, asio::buffer(request), asio::use_awaitable);
    std::string page;
    boost::system::error_code end;
    co_await asio::async_read(socket, asio::dynamic_buffer(page),
                              asio::redirect_error(asio::use_awaitable, end));
    co_return page;
}

asio::awaitable<void> run_agent(pgstate::config config, std::uint16_t port) {
    auto store = co_await pgstate::postgres_store::open(co_await asio::this_coro::executor, config);
    pgstate::agent_state state{"agent-1", "session-1"};
    for (int step = 0; step < 100; ++step) {
        state.context["step"] = step;
        co_await store.save(state);
    }

    std::istringstream page(co_await get_metrics(port));
    int printed = 0;
    for (std::string line; printed < 12 && std::getline(page, line);)
        if (line.find("_bucket{") == line.npos &&
            (line.starts_with("db_client_") || line.starts_with("pgstate_"))) {
            std::cout << line << '\n';
            ++printed;
        }
    std::cout << printed << " lines of metrics\n";
    co_await store.close();
}

} // namespace

int main() {
    try {
        const pgstate::embedded_server server;
        pgstate::config config{.connection_string = server.connection_string()};
        // Port 0 is a free one. Where Prometheus has to find it, a fixed one: "0.0.0.0:9464".
        // [prometheus]
        auto metrics = std::make_shared<pgstate::prometheus_metrics>();
        prometheus::Exposer exposer("127.0.0.1:0");
        exposer.RegisterCollectable(metrics);
        config.metrics = metrics;
        // [prometheus]

        asio::io_context io;
        std::exception_ptr failure;
        const auto port = static_cast<std::uint16_t>(exposer.GetListeningPorts().at(0));
        asio::co_spawn(io, run_agent(config, port), [&](std::exception_ptr e) { failure = e; });
        io.run();
        if (failure) std::rethrow_exception(failure);
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "telemetry_prometheus: " << e.what() << '\n';
        return 1;
    }
}
