#include "service.hpp"

#include "problem.hpp"
#include <pgstate/error.hpp>

#include <algorithm>
#include <exception>
#include <string>

namespace session_server {
namespace {

namespace asio = boost::asio;

circumstances circumstances_of(const request& message) {
    // If-None-Match of a GET is no condition that fails: it asks for less.
    const bool must_be_new = message.method == "PUT" && !message.if_none_match.empty();
    return {.conditional = must_be_new || !message.if_match.empty(), .has_content = !message.body.empty()};
}

response failed(std::exception_ptr failure, const request& message) {
    try {
        std::rethrow_exception(failure);
    } catch (const http_error& e) {
        return to_response(e.what_happened(), message.id);
    } catch (...) {
        return to_response(problem_of(pgstate::to_error(std::current_exception()), circumstances_of(message)),
                           message.id);
    }
}

void refuse_unknown_parameters(const route& matched, const parameters& given) {
    for (const auto& [name, value] : given.query)
        if (std::find(matched.query.begin(), matched.query.end(), name) == matched.query.end())
            throw http_error(400, "the query has a parameter that is not known here");
}

[[noreturn]] void wrong_method(std::string allowed) {
    problem refusal{.status = 405};
    refusal.detail = "there is no such method here";
    refusal.headers.emplace_back("Allow", std::move(allowed));
    throw http_error(refusal);
}

[[noreturn]] void too_many() {
    throw pgstate::error(pgstate::errc::overloaded, "request", "too many are under way");
}

} // namespace

/// One of the requests under way, while it lives.
class service::slot {
public:
    slot(service& of, admission admitted) : of_(of), counted_(admitted == admission::limited) {
        of_.under_way_.Increment();
        // Counted before it is compared: of several at once, no more than allowed get through.
        if (counted_) exceeds_ = of_.limited_.fetch_add(1, std::memory_order_relaxed) >= of_.max_requests_;
    }
    ~slot() {
        if (counted_) of_.limited_.fetch_sub(1, std::memory_order_relaxed);
        of_.under_way_.Decrement();
    }
    slot(const slot&) = delete;
    slot& operator=(const slot&) = delete;
    bool exceeds() const noexcept { return exceeds_; }

private:
    service& of_;
    const bool counted_;
    bool exceeds_ = false;
};

service::service(const router& routes, std::size_t max_requests, prometheus::Gauge& under_way)
    : routes_(routes), max_requests_(max_requests), under_way_(under_way) {}

asio::awaitable<response> service::answer(const request& message) {
    std::string_view route = unmatched_route;
    response answered;
    try {
        if (message.method == "OPTIONS" && message.target == "*") co_return response{.status = 204};
        const auto found = routes_.find(message.method, message.target);
        if (!found.matched) throw http_error(404, "there is nothing at this path");
        route = found.matched->path;
        if (!found.method_known) wrong_method(routes_.allowed(route));
        answered = co_await run(*found.matched, message, found.given);
    } catch (...) {
        answered = failed(std::current_exception(), message);
    }
    answered.route = route;
    co_return answered;
}

asio::awaitable<response> service::run(const route& matched, const request& message,
                                       const parameters& given) {
    const slot occupied(*this, matched.admitted);
    if (occupied.exceeds()) too_many();
    refuse_unknown_parameters(matched, given);
    co_return co_await matched.run(message, given);
}

} // namespace session_server
