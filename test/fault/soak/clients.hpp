#ifndef PGSTATE_TEST_FAULT_SOAK_CLIENTS_HPP
#define PGSTATE_TEST_FAULT_SOAK_CLIENTS_HPP

#include "fault/history.hpp"
#include "fault/kept_histories.hpp"
#include "fault/soak/arguments.hpp"
#include "pgstate/pgstate.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pgstate_test {

namespace asio = boost::asio;
using soak_clock = std::chrono::steady_clock;

inline constexpr auto soak_agent = "soak";
inline constexpr std::chrono::seconds soak_operation_timeout{5};
/// An operation that has not completed so long after its time-out has hung.
inline constexpr std::chrono::seconds soak_grace{5};

/// What the clients do between two checks, and how it went. Its members are used in the clients' thread but for the
/// atomic ones, and once all clients are done by anybody.
class epoch {
public:
    epoch(pgstate::postgres_store& store, asio::io_context& context, const soak_arguments& given,
          std::uint64_t number, std::atomic<std::uint64_t>& last_id);

    /// Another store of the same table, which the sessions that are restored and forked are also written with.
    void also_with(pgstate::postgres_store& another) { others_ = &another; }
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
    kept_histories kept;                        ///< what saves kept of the histories that they were based on
    std::vector<history::violation> violations; ///< that loads showed at once
    std::size_t parts_saved = 0;                ///< saves of states that were loaded in part
    std::map<std::string, std::size_t> errors;
    std::size_t acknowledged = 0;
    std::size_t failed = 0;
    std::size_t unknown = 0;
    /// Why writes are unknown: how many of foreign keys, and of others. Several where an operation has several.
    std::map<std::string, std::array<std::size_t, 2>> unknown_writes;
    std::vector<std::string>
        problems;       ///< of the sessions that are restored and forked, and states that cannot be read
    std::string broken; ///< a client ended by an exception

private:
    using kind = history::kind;
    struct caller;
    class call;

    template <class T>
    void count(const call& of, const pgstate::result<T>& r);
    history::write begun(kind what, const std::string& key, const caller& by);
    template <class T>
    void finish(history::write what, const call& of, const pgstate::result<T>& r);
    template <class T>
    void finish_one(history::write what, const call& of, const pgstate::result<T>& r);
    /// Different keys, in any order.
    std::vector<history::write> several(const std::vector<std::string>& all, std::size_t count, caller& by);

    asio::awaitable<void> client(unsigned id);
    asio::awaitable<void> save(std::string key, caller& by);
    asio::awaitable<void> save_if_unchanged(std::string key, caller& by);
    asio::awaitable<std::optional<pgstate::agent_state>> load(std::string key, caller& by);
    /// Loads a state, whole or in part, and saves it with another message or none.
    asio::awaitable<void> add_to_history(std::string key, caller& by);
    /// Changes one of the sessions that are restored and forked.
    asio::awaitable<void> change_shared(caller& by);
    asio::awaitable<void> append_to_shared(std::string key, caller& by);
    asio::awaitable<void> save_shared(std::string key, caller& by, bool anew);
    asio::awaitable<void> transact_shared(std::string key, caller& by);
    asio::awaitable<void> go_back(std::string key, caller& by);
    void note_version(const std::string& key, std::int64_t version, const pgstate::agent_state& state);
    asio::awaitable<void> append(std::string key, caller& by);
    asio::awaitable<void> increment(std::string key, caller& by);
    asio::awaitable<void> merge(std::string key, caller& by);
    asio::awaitable<void> erase(std::string key, caller& by);
    asio::awaitable<void> touch(std::string key, caller& by);
    asio::awaitable<void> list(caller& by);
    asio::awaitable<void> save_all(const std::vector<std::string>& all, caller& by);
    asio::awaitable<void> transaction(const std::vector<std::string>& all, caller& by);

    /// One of the two stores: within one, writes of a key wait for each other.
    pgstate::postgres_store& either_store(caller& by);

    pgstate::postgres_store& store_;
    pgstate::postgres_store* others_ = &store_;
    asio::io_context& context_;
    const soak_arguments& given_;
    const std::uint64_t number_;
    std::atomic<std::uint64_t>& last_id_;
    std::map<std::int64_t, std::vector<std::string>> shared_versions_; ///< what each had in it
    std::vector<std::atomic<soak_clock::rep>>
        due_; ///< by client: when the one that is under way has hung; 0: none is
};

} // namespace pgstate_test

#endif
