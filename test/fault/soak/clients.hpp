#ifndef PGSTATE_TEST_FAULT_SOAK_CLIENTS_HPP
#define PGSTATE_TEST_FAULT_SOAK_CLIENTS_HPP

#include "fault/history.hpp"
#include "fault/soak/arguments.hpp"
#include "pgstate/pgstate.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace pgstate_test {

namespace asio = boost::asio;
using soak_clock = std::chrono::steady_clock;

inline constexpr auto soak_agent = "soak";
inline constexpr std::chrono::seconds soak_operation_timeout{5};
/// An operation that has not completed so long after its time-out never will.
inline constexpr std::chrono::seconds soak_grace{5};

/// What the clients do between two checks, and how it went. Its members are used in the clients' thread but for the
/// atomic ones, and once all clients are done by anybody.
class epoch {
public:
    epoch(pgstate::postgres_store& store, asio::io_context& context, const soak_arguments& given,
          std::uint64_t number, std::atomic<std::uint64_t>& last_id);

    void start();
    /// How many operations have not completed in their time.
    std::size_t hung() const;
    std::vector<std::string> keys() const;
    /// Those of them that foreign writers write, too. They are few: an operation's outcome is unknown more often there.
    std::vector<std::string> foreign_keys() const;
    void note_load(const std::string& key, const std::optional<pgstate::agent_state>& state,
                   soak_clock::time_point invoked);

    std::atomic<bool> stopping{false};
    std::atomic<unsigned> running{0};
    std::atomic<soak_clock::rep> last_success{0};
    history past;
    std::map<std::string, std::size_t> errors;
    std::size_t acknowledged = 0;
    std::size_t failed = 0;
    std::size_t unknown = 0;
    std::size_t unknown_on_foreign_keys = 0; ///< writes; several where an operation has several
    std::string broken;                      ///< a client ended by an exception

private:
    using random_type = std::mt19937_64;
    using kind = history::kind;
    class call;

    template <class T>
    void count(const pgstate::result<T>& r);
    history::write begun(kind what, const std::string& key, unsigned client);
    template <class T>
    void finish(history::write what, soak_clock::time_point invoked, const pgstate::result<T>& r);
    template <class T>
    void finish_one(history::write what, const call& of, const pgstate::result<T>& r);
    /// Different keys, in any order.
    std::vector<history::write> several(const std::vector<std::string>& all, std::size_t count,
                                        random_type& random, unsigned id);

    asio::awaitable<void> client(unsigned id);
    asio::awaitable<void> save(std::string key, unsigned id);
    asio::awaitable<void> save_if_unchanged(std::string key, unsigned id);
    asio::awaitable<std::optional<pgstate::agent_state>> load(std::string key, unsigned id);
    asio::awaitable<void> append(std::string key, unsigned id);
    asio::awaitable<void> increment(std::string key, unsigned id);
    asio::awaitable<void> merge(std::string key, unsigned id);
    asio::awaitable<void> erase(std::string key, unsigned id);
    asio::awaitable<void> touch(std::string key, unsigned id);
    asio::awaitable<void> list(unsigned id);
    asio::awaitable<void> save_all(const std::vector<std::string>& all, random_type& random, unsigned id);
    asio::awaitable<void> transaction(const std::vector<std::string>& all, random_type& random, unsigned id);

    pgstate::postgres_store& store_;
    asio::io_context& context_;
    const soak_arguments& given_;
    const std::uint64_t number_;
    std::atomic<std::uint64_t>& last_id_;
    std::vector<std::atomic<soak_clock::rep>> begun_; ///< by client: since when one is under way; 0: none is
};

} // namespace pgstate_test

#endif
