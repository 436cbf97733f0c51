#include "support/run.hpp"

#include <boost/asio/co_spawn.hpp>

#include <exception>

namespace pgstate_test {

void run_coroutine(asio::io_context& context, std::function<asio::awaitable<void>()> function) {
    bool done = false;
    std::exception_ptr failure;
    asio::co_spawn(context, std::move(function), [&](std::exception_ptr e) {
        failure = std::move(e);
        done = true;
    });
    run_until(context, [&] { return done; });
    if (failure) std::rethrow_exception(failure);
}

} // namespace pgstate_test
