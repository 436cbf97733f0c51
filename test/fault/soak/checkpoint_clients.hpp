#ifndef PGSTATE_TEST_FAULT_SOAK_CHECKPOINT_CLIENTS_HPP
#define PGSTATE_TEST_FAULT_SOAK_CHECKPOINT_CLIENTS_HPP

#include "fault/soak/clients.hpp"
#include "pgstate/pgstate.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace pgstate_test {

/// Clients that each have a session of their own: nobody else writes it, so that its history and its checkpoints are known
/// message by message, but for one write whose outcome is unknown until the next look. They append, with and without ids, save
/// histories anew and add to them, load windows and versions, make checkpoints, restore, prune, erase, and fork to sessions that
/// must be and remain copies. Whatever is not as it has to be is a problem.
class checkpoint_clients {
public:
    checkpoint_clients(pgstate::postgres_store& store, asio::io_context& context, std::uint64_t seed,
                       std::uint64_t epoch_number);
    ~checkpoint_clients();

    void start();
    std::size_t hung() const;
    /// Reads everything once more, over a way without faults, when no client runs any more.
    void read_back(pgstate::postgres_store& direct);

    std::atomic<bool> stopping{false};
    std::atomic<unsigned> running{0};
    std::map<std::string, std::size_t> acknowledged; ///< by operation
    std::size_t failed = 0;
    std::size_t unknown = 0;
    std::map<std::string, std::size_t> errors;
    std::vector<std::string> problems;

private:
    using messages = std::vector<std::string>;
    /// What is in a session: its history, and those of its checkpoints by their versions.
    struct contents {
        std::optional<messages> now; ///< nothing: the state is missing
        std::map<std::int64_t, messages> kept;
    };
    struct client;
    class call;
    template <class T>
    bool answered(const client& of, const char* what, const pgstate::result<T>& r);
    void wrong(const client& of, const std::string& what);

    asio::awaitable<void> work(client& self);
    asio::awaitable<void> append(client& self);
    asio::awaitable<void> save(client& self);
    asio::awaitable<void> add(client& self);
    asio::awaitable<void> checkpoint(client& self);
    asio::awaitable<void> load_at(client& self);
    asio::awaitable<void> restore(client& self);
    asio::awaitable<void> fork(client& self);
    asio::awaitable<void> append_to_fork(client& self);
    asio::awaitable<void> prune(client& self);
    asio::awaitable<void> erase(client& self);
    /// After a write: takes what it made, or what was before it, or after an unknown outcome looks which of both is there.
    template <class T>
    asio::awaitable<void> settle(client& self, const char* what, const pgstate::result<T>& r, contents after);
    asio::awaitable<std::optional<pgstate::agent_state>> load_for_certain(client& self, std::string session);
    asio::awaitable<pgstate::checkpoint_page> list_for_certain(client& self);

    pgstate::postgres_store& store_;
    asio::io_context& context_;
    std::vector<std::unique_ptr<client>> clients_;
};

} // namespace pgstate_test

#endif
