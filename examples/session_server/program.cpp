#include "program.hpp"

#include "operation_routes.hpp"
#include "server.hpp"
#include "session_routes.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <csignal>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

namespace session_server {
namespace {

namespace asio = boost::asio;
using pgstate::log_level;

// In one step, so that whoever waits for the file never sees a part of it.
void write_port(const std::filesystem::path& path, unsigned short port) {
    auto partial = path;
    partial += ".new";
    std::ofstream file(partial);
    file << port << '\n';
    file.close();
    if (!file) throw std::runtime_error("cannot write '" + partial.string() + "'");
    std::filesystem::rename(partial, path);
}

} // namespace

program::program(const options& chosen)
    : chosen_(chosen), logs_(make_logs(chosen.log_level)), telemetry_(*registry_, *logs_.requests),
      service_(routes_, chosen.bounds.requests, telemetry_.under_way()),
      io_(static_cast<int>(chosen.threads)) {
    add_session_routes(routes_, store_, chosen.request_timeout);
    add_operation_routes(routes_, store_, chosen.ready_timeout, metrics_, leaving_);
}

void program::print_routes() const {
    for (const route& each : routes_.routes())
        std::cout << each.method << ' ' << each.path << '\n';
}

int program::run() {
    if (chosen_.embedded) {
        logs_.server->write(log_level::info, "starting a private PostgreSQL");
        pgstate::embedded_server_options where;
        where.data_directory = chosen_.embedded_data;
        database_ = std::make_unique<pgstate::embedded_server>(where);
    }
    std::exception_ptr failure;
    bool finished = false;
    asio::co_spawn(io_, serve(), [&](std::exception_ptr e) {
        failure = e;
        finished = true;
        io_.stop();
    });
    {
        std::vector<std::jthread> others;
        for (unsigned i = 1; i < chosen_.threads; ++i)
            others.emplace_back([this] { io_.run(); });
        io_.run();
    }
    store_ = pgstate::postgres_store();
    if (failure) std::rethrow_exception(failure);
    if (!finished)
        logs_.server->write(log_level::error, "the grace time is over; requests under way were given up");
    return finished ? 0 : 1;
}

pgstate::config program::configuration() {
    pgstate::config settings;
    settings.connection_string = database_ ? database_->connection_string() : chosen_.database_url;
    settings.table_name = chosen_.table;
    settings.schema.migrate = chosen_.migrate;
    settings.logger = logs_.store;
    settings.metrics = metrics_;
    return settings;
}

asio::awaitable<void> program::serve() {
    const auto executor = co_await asio::this_coro::executor;
    asio::signal_set signals(executor, SIGTERM, SIGINT);
    const auto settings = configuration();
    store_ = co_await pgstate::postgres_store::open(executor, settings);

    const asio::ip::tcp::endpoint where(asio::ip::make_address(chosen_.address), chosen_.port);
    const connection_context context{service_, telemetry_, chosen_.bounds, draining_};
    server listening(executor, where, context, *logs_.server);
    asio::co_spawn(listening.get_executor(), listening.run(), asio::detached);
    if (!chosen_.port_file.empty()) write_port(chosen_.port_file, listening.port());
    logs_.server->write(log_level::info, "listening",
                        {{"server.address", std::string_view(chosen_.address)},
                         {"server.port", std::int64_t{listening.port()}}});

    co_await signals.async_wait(asio::use_awaitable);
    signals.clear(); // a second one ends the program at once, as it would without this
    co_await leave();
    co_await shut_down(listening);
}

/// Serves on while load balancers find out.
asio::awaitable<void> program::leave() {
    leaving_ = true;
    if (chosen_.shutdown_delay.count() == 0) co_return;
    logs_.server->write(log_level::info, "not ready any more; shutting down after the delay");
    asio::steady_timer delay(io_, chosen_.shutdown_delay);
    co_await delay.async_wait(asio::use_awaitable);
}

asio::awaitable<void> program::shut_down(server& listening) {
    logs_.server->write(log_level::info, "shutting down");
    asio::steady_timer grace(io_, chosen_.shutdown_grace);
    grace.async_wait([this](const boost::system::error_code& cancelled) {
        if (!cancelled) io_.stop();
    });
    co_await asio::co_spawn(listening.get_executor(), listening.stop_accepting(), asio::use_awaitable);
    draining_ = true;
    co_await asio::co_spawn(listening.get_executor(), listening.drain(), asio::use_awaitable);
    co_await store_.close();
    logs_.server->write(log_level::info, "every request was answered");
}

} // namespace session_server
