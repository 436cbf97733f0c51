#pragma once

#include "arguments.hpp"
#include "terminal.hpp"
#include <pgstate/postgres_store.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace pgstate::cli {

namespace asio = boost::asio;

/// What a command works with.
struct context {
    const arguments& given;
    const terminal& screen;
    asio::any_io_executor io;

    /// \throws error as of postgres_store::open; without a migration, unless the settings ask for one
    asio::awaitable<postgres_store> open() const {
        return postgres_store::open(io, given.settings, asio::use_awaitable);
    }
};

// The commands. Each gives the process's exit code, or throws `failure` or pgstate::error. They can be cancelled.
asio::awaitable<int> ls(const context& with);
asio::awaitable<int> get(const context& with);
asio::awaitable<int> diff(const context& with);
asio::awaitable<int> put(const context& with);
asio::awaitable<int> rm(const context& with);
asio::awaitable<int> checkpoint(const context& with);
asio::awaitable<int> checkpoints(const context& with);
asio::awaitable<int> restore(const context& with);
asio::awaitable<int> fork(const context& with);
asio::awaitable<int> prune(const context& with);
asio::awaitable<int> tail(const context& with);
asio::awaitable<int> migrate(const context& with);
asio::awaitable<int> schema(const context& with);
asio::awaitable<int> doctor(const context& with);
asio::awaitable<int> export_states(const context& with);
asio::awaitable<int> import_states(const context& with);

struct command {
    asio::awaitable<int> (*run)(const context& with);
    bool ends_by_signal = false; ///< being interrupted is how it is meant to end
};

} // namespace pgstate::cli
