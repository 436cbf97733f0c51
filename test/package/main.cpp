// Uses what the library is for, through nothing but its installed files.
#include <pgstate/pgstate.hpp>

#ifdef HAVE_EMBEDDED
#    include <pgstate/embedded_server.hpp>
#endif
#ifdef HAVE_SPDLOG
#    include <pgstate/adapters/spdlog.hpp>
#endif
#ifdef HAVE_PROMETHEUS
#    include <pgstate/adapters/prometheus.hpp>
#endif
#ifdef HAVE_OPENTELEMETRY
#    include <pgstate/adapters/opentelemetry.hpp>
#endif

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>

namespace asio = boost::asio;

namespace {

asio::awaitable<void> use(pgstate::state_store& store) {
    pgstate::agent_state state("agent-1", "session-1");
    state.context["user"] = "john";
    co_await store.save(state);

    const auto loaded = co_await store.load("agent-1", "session-1");
    if (!loaded || loaded->context != state.context || loaded->version == 0)
        throw std::runtime_error("what was saved was not loaded");
    co_await store.close();
}

asio::awaitable<void> run() {
    if (pgstate::version() != PGSTATE_VERSION)
        throw std::runtime_error("the library has another version than the headers");
    std::cout << "version " << PGSTATE_VERSION_STRING << '\n';

    pgstate::memory_store memory(co_await asio::this_coro::executor);
    co_await use(memory);
    std::cout << "memory_store: saved and loaded\n";

#ifdef HAVE_EMBEDDED
    const pgstate::embedded_server server;
    pgstate::config config;
    config.connection_string = server.connection_string();
#    ifdef HAVE_SPDLOG
    config.logger = std::make_shared<pgstate::spdlog_logger>();
    std::cout << "with pgstate::spdlog\n";
#    endif
#    ifdef HAVE_PROMETHEUS
    config.metrics = std::make_shared<pgstate::prometheus_metrics>();
    std::cout << "with pgstate::prometheus\n";
#    endif
#    ifdef HAVE_OPENTELEMETRY
    config.tracer = std::make_shared<pgstate::opentelemetry_tracer>();
    std::cout << "with pgstate::opentelemetry\n";
#    endif
    auto store = co_await pgstate::postgres_store::open(co_await asio::this_coro::executor, config);
    co_await use(store);
    std::cout << "postgres_store: saved and loaded\n";
#endif
}

} // namespace

int main() {
    int status = 0;
    asio::io_context context;
    asio::co_spawn(context, run(), [&status](std::exception_ptr failure) {
        try {
            if (failure) std::rethrow_exception(failure);
        } catch (const std::exception& e) {
            std::cerr << e.what() << '\n';
            status = 1;
        }
    });
    context.run();
    return status;
}
