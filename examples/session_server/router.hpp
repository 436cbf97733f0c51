#ifndef SESSION_SERVER_ROUTER_HPP
#define SESSION_SERVER_ROUTER_HPP

#include "exchange.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace session_server {

/// Both arguments live until the awaitable is done.
using handler = std::function<boost::asio::awaitable<response>(const request&, const parameters&)>;

/// Whether a route is answered also when as many requests as allowed are under way: probes and metrics must be, or else an
/// overloaded server would be taken for a dead one and killed.
enum class admission { limited, always };

struct route {
    std::string_view method{};
    std::string_view path{};               ///< a template: "/agents/{agent}/sessions"
    std::vector<std::string_view> query{}; ///< the names that it knows
    admission admitted = admission::limited;
    handler run{};
};

/// The table of the routes; HEAD is answered by the route for GET.
class router {
public:
    void add(route what) { routes_.push_back(std::move(what)); }
    const std::vector<route>& routes() const noexcept { return routes_; }

    struct found {
        const route* matched = nullptr; ///< null: no route has this path
        bool method_known = false;      ///< `matched` has the method; otherwise only the path
        parameters given{};
    };
    /// \throws http_error 400 - the target cannot be decoded
    found find(std::string_view method, std::string_view target) const;

    /// The methods of the routes with the same path, for the header Allow.
    std::string allowed(std::string_view path) const;

private:
    std::vector<route> routes_;
};

} // namespace session_server

#endif
