#ifndef SESSION_SERVER_PROGRAM_HPP
#define SESSION_SERVER_PROGRAM_HPP

#include "log.hpp"
#include "options.hpp"
#include "request_telemetry.hpp"
#include "router.hpp"
#include "service.hpp"
#include <pgstate/adapters/prometheus.hpp>
#include <pgstate/embedded_server.hpp>
#include <pgstate/postgres_store.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <prometheus/registry.h>

#include <atomic>
#include <memory>

namespace session_server {

/// Puts the parts together, and takes them apart again.
class program {
public:
    explicit program(const options& chosen);

    void print_routes() const;

    /// Until SIGTERM or SIGINT.
    /// \return the exit code: 0, or 1 where requests under way took longer than the grace time
    /// \throws  where the server could not start
    int run();

private:
    pgstate::config configuration();
    boost::asio::awaitable<void> serve();
    boost::asio::awaitable<void> leave();
    boost::asio::awaitable<void> shut_down(class server& listening);

    const options chosen_;
    const logs logs_;
    const std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
    const std::shared_ptr<pgstate::prometheus_metrics> metrics_ =
        std::make_shared<pgstate::prometheus_metrics>(registry_);
    request_telemetry telemetry_;
    std::atomic<bool> leaving_ = false;  ///< /readyz says so; all else goes on
    std::atomic<bool> draining_ = false; ///< each answer is the last of its connection
    router routes_;
    service service_;

    // The io_context has the coroutines of what did not finish in time. They use what stands above it, which is destroyed
    // after it; and the store, which works on it, must be gone before.
    std::unique_ptr<pgstate::embedded_server> database_;
    boost::asio::io_context io_;
    pgstate::postgres_store store_; ///< opened before the first request is taken
};

} // namespace session_server

#endif
