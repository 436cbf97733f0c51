#include <pgstate/pgstate.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>

namespace {

boost::asio::awaitable<void> save() {
    pgstate::memory_store store(co_await boost::asio::this_coro::executor);
    const pgstate::agent_state state("agent-1", "session-1");
    co_await store.save(state);
    co_await store.close();
}

} // namespace

int main() {
    boost::asio::io_context context;
    boost::asio::co_spawn(context, save(), [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
    });
    context.run();
    return pgstate::version() == PGSTATE_VERSION ? 0 : 1;
}
