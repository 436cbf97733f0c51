#ifndef SESSION_SERVER_SERVICE_HPP
#define SESSION_SERVER_SERVICE_HPP

#include "exchange.hpp"
#include "router.hpp"

#include <boost/asio/awaitable.hpp>

#include <prometheus/gauge.h>

#include <atomic>
#include <cstddef>

namespace session_server {

/// From a request to its answer, whatever happens on the way.
/// Thread safety: `answer` may be called from any thread, once the routes are complete.
class service {
public:
    /// \param under_way  how many requests are being answered, kept up to date
    service(const router& routes, std::size_t max_requests, prometheus::Gauge& under_way);

    /// The answer is a problem where something fails: this does not throw. `message` must live until it is done.
    boost::asio::awaitable<response> answer(const request& message);

private:
    class slot;
    boost::asio::awaitable<response> run(const route& matched, const request& message,
                                         const parameters& given);

    const router& routes_;
    const std::size_t max_requests_;
    std::atomic<std::size_t> limited_ = 0; ///< how many are under way of those that are limited
    prometheus::Gauge& under_way_;
};

} // namespace session_server

#endif
